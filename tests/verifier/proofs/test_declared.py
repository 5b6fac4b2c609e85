"""Declared settings: found by their path, compared by value, and never shown if they may be secret."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from verifier.model.invariant import Phase, Severity
from verifier.model.verdict import Judgement, Verdict
from verifier.profile.declared import OpenIMConfig
from verifier.proofs import Declared
from verifier.proofs.context import Context
from verifier.proofs.declared import agree, value_at
from verifier.stores.errors import RouteClosed

CONFIGURATION = {"Secret": "a-secret-of-ours", "MultiLogin": {"Policy": 1, "MaxNumOneEnd": 30}}


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (["a"], ["a"], True),
        ("1", 1, False),
        ("sha256:" + hashlib.sha256(b"x").hexdigest().upper(), "x", True),
        ("sha256:" + "0" * 64, "x", False),
    ],
)
def test_values_agree(expected: object, actual: object, same: bool) -> None:
    """A number differs from a boolean and from a text; a hash stands for its text."""
    assert agree(expected, actual) is same


def test_a_setting_is_found_by_its_path() -> None:
    """Without regard to case, and one level deeper if a version answers with all files at once; not if that is ambiguous."""
    assert value_at(CONFIGURATION, "multiLogin.policy") == 1
    assert value_at({"Share": CONFIGURATION, "Push": {}}, "multiLogin.policy") == 1
    ambiguous, missing = (
        value_at({"A": CONFIGURATION, "B": CONFIGURATION}, "multiLogin.policy"),
        value_at(CONFIGURATION, "multiLogin.nothing"),
    )
    assert ambiguous is missing is value_at(None, "x")


class _Server:
    """OpenIM's answers to a request for its configuration."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    async def configuration(self, _name: str) -> object:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def _judge(server: _Server, expected: dict[str, Any], files: dict[str, str] | None = None) -> Judgement:
    async def get(_role: str) -> _Server:
        return server

    surroundings: Any = {
        "check_id": "CFG-01",
        "severity": Severity.HIGH,
        "profile": SimpleNamespace(timing=SimpleNamespace(settle_s=0)),
        "phase": Phase.CUTOVER,
        "stores": SimpleNamespace(get=get),
        "scope": None,
        "memory": SimpleNamespace(fingerprint=lambda _check, key: key),
        "progress": None,
    }
    proof = Declared(expected={"share.yml": expected} if expected else {}, files=files or {}, next_step="Set it back.")
    return asyncio.run(proof.execute(Context(**surroundings)))


def test_a_closed_route_is_not_granted() -> None:
    """If administrators may not read the configuration, the check is not applicable."""
    judged = _judge(_Server(RouteClosed("HTTP 404")), {"multiLogin.policy": 1})
    assert judged.verdict is Verdict.NOT_APPLICABLE
    assert "not granted" in judged.reason


def test_a_difference_that_is_gone_in_the_second_pass_is_not_a_finding() -> None:
    """The value differed in the first pass and is the declared one in the second."""
    before = {"MultiLogin": {"Policy": 4}}
    assert _judge(_Server(before, CONFIGURATION), {"multiLogin.policy": 1}).verdict is Verdict.HOLDS
    assert _judge(_Server(before), {"multiLogin.policy": 1}).verdict is Verdict.VIOLATED


@pytest.mark.parametrize("answer", [None, {}, {"MultiLogin": []}])
def test_a_missing_file_or_setting_is_inconclusive(answer: object) -> None:
    """The reason names the file."""
    judged = _judge(_Server(answer), {"multiLogin.policy": 1})
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "share.yml" in judged.reason


@pytest.mark.parametrize("expected", [{"secret": "openIM123"}, {"secret": "sha256:" + "0" * 64}])
def test_a_secret_is_never_shown(expected: dict[str, str]) -> None:
    """Neither the declared value nor the one in force, in whatever form it was declared."""
    judged = _judge(_Server(CONFIGURATION), expected)
    assert judged.verdict is Verdict.VIOLATED
    assert "a-secret-of-ours" not in repr(judged)
    assert "openIM123" not in repr(judged)


def test_a_file_is_compared_by_its_bytes(tmp_path: Path) -> None:
    """Equal, changed and missing are three different answers."""
    path = tmp_path / "share.yml"
    path.write_bytes(b"secret: x\n")
    digest = hashlib.sha256(b"secret: x\n").hexdigest()
    assert _judge(_Server({}), {}, {str(path): digest.upper()}).verdict is Verdict.HOLDS
    assert _judge(_Server({}), {}, {str(path): "0" * 64}).verdict is Verdict.VIOLATED
    path.unlink()
    assert _judge(_Server({}), {}, {str(path): digest}).verdict is Verdict.INCONCLUSIVE


def test_an_invalid_hash_is_refused() -> None:
    """The message says how to compute one."""
    with pytest.raises(ValueError, match="sha256sum"):
        OpenIMConfig(files={"/etc/share.yml": "abc"})
