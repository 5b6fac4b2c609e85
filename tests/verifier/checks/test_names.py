"""`require_read_names`: names of a profile that no check reads are errors."""

from __future__ import annotations

import pytest

from verifier.checks.catalogue import load_checks
from verifier.checks.names import require_read_names
from verifier.checks.registry import NotApplicable, Registry, check
from verifier.model.invariant import Phase, Severity
from verifier.model.query import Rows
from verifier.profile.errors import ProfileError
from verifier.profile.load import parse_profile
from verifier.profile.models import Profile
from verifier.proofs import Proof, Rule

HEAD = """
stack = "s"
phase = "cutover"
scope.kind = "all"
since = { cutover = 2026-11-01T00:00:00Z }
[roles.user_db]
url = "postgresql://db"
[roles.cache_redis]
url = "redis://cache"
"""
USERS = '[relations.users]\nrole = "user_db"\ntable = "u"\nkey = "user_id"\n'


def _profile(text: str) -> Profile:
    return parse_profile(HEAD + text)


def _refused(text: str, registry: Registry | None = None) -> str:
    with pytest.raises(ProfileError) as error:
        require_read_names(_profile(text), registry or load_checks())
    return str(error.value)


def _own(subject: Rows, *, applies: bool = True) -> Registry:
    registry = Registry()

    @check("X-OWN", title="t", severity=Severity.INFO, phase=Phase.BASELINE, row="own", registry=registry)
    def own(profile: Profile) -> Proof:
        """Why."""
        if not applies:
            raise NotApplicable("policy: off")
        return Rule(subject=subject, judge=lambda row: None)

    return registry


@pytest.mark.parametrize(
    ("text", "name", "meant"),
    [
        (
            '[relations.groups]\nrole = "user_db"\ntable = "g"\nkey = "id"\ncolumns = { id = "id" }\n',
            "relations.groups",
            "chat_groups",
        ),
        (
            '[relations.group_extension]\nrole = "user_db"\ntable = "g"\nkey = "id"\ncolumns = { id = "id" }\n',
            "relations.group_extension",
            "group_extensions",
        ),
        (
            f'{USERS}columns = {{ user_id = "id", last_login = "seen" }}\n',
            "relations.users.columns.last_login",
            "last_login_at",
        ),
        (
            '[channels.chat_notifications]\nrole = "cache_redis"\nname = "c"\n',
            "channels.chat_notifications",
            "chat_notification",
        ),
    ],
)
def test_misspelt_names_are_refused_with_the_name_that_was_meant(text: str, name: str, meant: str) -> None:
    """A relation, a column, a channel."""
    message = _refused(text)
    assert f"{name}: no check reads" in message
    assert f"Did you mean {meant!r}?" in message


def test_names_that_resemble_nothing_are_refused_with_the_known_ones() -> None:
    """Nobody would read them."""
    message = _refused(f'{USERS}columns = {{ user_id = "id", shoe_size = "s" }}\n')
    assert "users.columns.shoe_size" in message
    assert "nickname" in message


def test_key_columns_and_relations_that_are_searched_for_tokens_may_have_any_name() -> None:
    """They identify records; TOK-06 reads whatever it is pointed to."""
    text = f'{USERS.replace("user_id", "uid")}columns = {{ user_id = "id", uid = "uid" }}\n'
    text += '[relations.drafts]\nrole = "user_db"\ntable = "d"\nkey = "id"\nsearched_for_tokens = true\ncolumns = { id = "id", body = "b" }\n'
    require_read_names(_profile(text), load_checks())


def test_the_names_that_own_checks_read_are_known() -> None:
    """Relations and columns of checks `X-…`, also beside the shipped columns of a relation."""
    orders = '[relations.orders]\nrole = "user_db"\ntable = "o"\nkey = "id"\ncolumns = { id = "id", total = "t" }\n'
    require_read_names(_profile(orders), _own(Rows("orders", ("total",))))
    require_read_names(
        _profile(f'{USERS}columns = {{ user_id = "id", shoe_size = "s" }}\n'), _own(Rows("users", ("shoe_size",)))
    )
    assert "relations.orders" in _refused(orders, _own(Rows("users", ("nickname",))))


def test_names_of_an_own_check_that_does_not_apply_are_not_known() -> None:
    """Then only what resembles a known name is refused."""
    registry = _own(Rows("orders", ("total",)), applies=False)
    require_read_names(
        _profile('[relations.orders]\nrole = "user_db"\ntable = "o"\nkey = "id"\ncolumns = { id = "id" }\n'), registry
    )
    assert "users" in _refused(USERS.replace("users", "user") + 'columns = { user_id = "id" }\n', registry)
