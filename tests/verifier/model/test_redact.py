"""Redaction: secrets are hidden, and everything else stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verifier.model.redact import HIDDEN, TEXT_MAX, clean, hide_from_now_on

JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJVc2VySUQiOiJ1MSIsIlBsYXRmb3JtSUQiOjV9.c2lnbmF0dXJl-_0"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"value {JWT} of u1", JWT),
        (JWT[:-20], JWT[10:40]),
        (f"prefix_{JWT}", JWT),
        (f"im:token:u1 = {JWT}", JWT),
        ("im:token:u1 -> 3f9c0d8e7b6a5f4e3d2c1b0a", "3f9c0d8e7b6a5f4e3d2c1b0a"),
        ('{"im:token:u1": "3f9c0d8e7b6a5f4e3d2c1b0a"}', "3f9c0d8e7b6a5f4e3d2c1b0a"),
        ("postgresql://app:hunter2@db:5432/users", "hunter2"),
        ("mongodb://app:p@ss:w/rd@one:27017,two:27017/chat", "p@ss:w/rd"),
        ("redis://:hunter2@cache:6379/0", "hunter2"),
        ("host=db password=hunter2 user=app", "hunter2"),
        ("PGPASSWORD=hunter2 psql", "hunter2"),
        ('{"password": "hunter2"}', "hunter2"),
        ("Authorization: Bearer hunter2hunter2", "hunter2"),
        ("ws://openim:10001/?sendID=u1&token=hunter2&platformID=5", "hunter2"),
        ("imToken: hunter2", "hunter2"),
        (f"{JWT[:20]}\u200b{JWT[20:]}", JWT[20:]),
        ("postgresql://app:hun\x00ter2@db", "ter2"),
        ("nickname " + "x" * (TEXT_MAX - 30) + " postgresql://app:hunter2@db", "hunter2"),
    ],
)
def test_secrets_are_hidden(text: str, secret: str) -> None:
    """Tokens, passwords in URLs and values of secret names, also truncated, joined or broken up by invisible characters."""
    shown = clean(text)
    assert secret not in shown
    assert HIDDEN in shown or len(text) > TEXT_MAX


@pytest.mark.parametrize(
    "text",
    [
        "users.user_id = 0e0b9a52-6c07-4c0e-9f0d-6a7a3d1c2f10",
        "http://openim:10002/user/account_check?page=1",
        "http://host:8080/path mail me@example.com",
        "im:token:u1 -> missing",
        "im:token:u1: no TTL",
        "SCAN MATCH mm:openim_token:* COUNT 100",
        "keys mm:access_token:{user_id}, ordered",
        "counter 18 204 -> 18 205, resume token 8267…",
        "v1.2.3 of public.users, 127.0.0.1:5432",
        "nickname 王小明 👩‍🚀 Ω",
        "a line\nand another\twith a tab",
    ],
)
def test_other_text_is_unchanged(text: str) -> None:
    """Keys, addresses and names in any script stay readable."""
    assert clean(text) == text


def test_control_characters_are_escaped() -> None:
    """Escape sequences, bidirectional overrides, NUL and unpaired surrogates become visible."""
    assert clean("\x1b[31mred\x1b[0m") == "\\x1b[31mred\\x1b[0m"
    assert clean("abc\u202etxt.exe") == "abc\\u202etxt.exe"
    assert clean("a\0b\udc80c\uffff") == "a\\x00b\\udc80c\\uffff"
    assert clean("\U000e0041") == "\\U000e0041"


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    """The result can be encoded, is bounded, and is not changed by a second cleaning."""
    shown = clean(text)
    shown.encode("utf-8")
    assert len(shown) <= TEXT_MAX + 40
    assert clean(shown) == shown


@example("0.", "")
@given(st.text(max_size=30), st.text(max_size=30))
def test_a_token_is_hidden_in_any_surroundings(before: str, after: str) -> None:
    """Whatever text comes before and after it."""
    assert JWT.split(".")[1] not in clean(before + JWT + after)


@pytest.mark.parametrize(
    "piece", ["eyJ", "eyJhbGciOi.", "a://u:", "im:token:", "password ", "x_password:", "\u202e", "a_", "[?&]token="]
)
def test_patterns_take_linear_time(piece: str) -> None:
    """Eight times the hostile text takes about eight times the CPU time, not sixty-four times."""

    def cpu_s(size: int) -> float:
        text = piece * (size // len(piece))
        started = time.process_time()
        assert len(clean(text)) < TEXT_MAX + 40
        return time.process_time() - started

    small = min(cpu_s(40_000) for _ in range(3))
    assert cpu_s(320_000) < max(small, 0.001) * 32


def test_known_secrets_are_hidden_wherever_they_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that contains another; words that reports are made of stay."""
    monkeypatch.setattr("verifier.model.redact._known", [])
    hide_from_now_on(["Tr0ub4dor", "Tr0ub4dor&3", "guest", "postgres", "correcthorsebattery"])
    assert clean("no user Tr0ub4dor&3 in postgres") == f"no user {HIDDEN} in postgres"
    assert clean("(Tr0ub4dor)") == f"({HIDDEN})"
    assert clean("correcthorsebattery guest") == f"{HIDDEN} guest"
