"""Every proof of a shipped check describes itself: its technique, what it reads, and the role it needs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tests.verifier.profile.test_load import ENVIRONMENT
from verifier.checks.catalogue import load_checks
from verifier.checks.registry import Check, NotApplicable
from verifier.model.query import Rows
from verifier.profile import NotMapped, parse_profile
from verifier.profile.roles import MongoRole
from verifier.profile.template import RoleUrls, TemplateValues, render_template
from verifier.proofs import Delivery, Description, Proof

_TEXT = render_template(
    TemplateValues(
        stack="acme",
        media_hosts=("media.acme.example",),
        openim_media=("https://openim.acme.example/object/",),
        openim_expected={"share.yml": {"multiLogin.policy": 1}},
        roles=RoleUrls(openim_mongo="${CHAT_MONGO_URL}"),
    )
)
PROFILE = parse_profile(_TEXT, environment={**ENVIRONMENT, "CHAT_MONGO_URL": "mongodb://u:p@mongo/"})


class _Stores:
    """Sources and observers that only name what they would read."""

    async def source(self, rows: Rows) -> Any:
        return SimpleNamespace(queries=(f"read {rows.relation}",))

    async def observer(self, kind: str, target: str, _columns: tuple[str, ...]) -> Any:
        return SimpleNamespace(queries=(f"watch {kind} {target}",))


def proofs_of(check: Check) -> tuple[Proof, ...]:
    """The proofs of a check for the template. Skips if the check does not apply to it."""
    try:
        return check.proofs(PROFILE)
    except (NotMapped, NotApplicable) as reason:
        pytest.skip(str(reason))


def describe(proof: Proof) -> Description:
    """The description of a proof for the template."""
    stores: Any = _Stores()
    return asyncio.run(proof.describe(PROFILE, stores))


@pytest.mark.parametrize("check", list(load_checks()), ids=lambda check: check.id)
def test_proofs_describe_themselves(check: Check) -> None:
    """The technique begins with the kind of proof, what is read is named, and the role is one of the profile."""
    for proof in proofs_of(check):
        description = describe(proof)
        assert proof.technique.startswith(f"{type(proof).__name__.lower()}: ")
        assert description.queries or isinstance(proof, Delivery)
        assert not description.role or PROFILE.roles.get(description.role) is not None


def test_a_reconcile_names_both_sides() -> None:
    """Its subject, its partners, and the further relations that it looks up; the subject's role is needed."""
    (proof,) = proofs_of(load_checks()["CNV-03"])
    description = describe(proof)
    assert description.queries == ("read flags", "read openim.conversation_ids", "read scope")
    assert description.role == "chat_db"


def test_the_role_of_stored_messages_is_openims_database() -> None:
    """MSG-08 reads OpenIM's own database."""
    (proof,) = proofs_of(load_checks()["MSG-08"])
    assert isinstance(PROFILE.roles.get(describe(proof).role), MongoRole)
    assert describe(proof).role == "openim_mongo"
