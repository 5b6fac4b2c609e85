"""The host guard, and the configuration of a run from options and profile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from load.config import RunOptions, SettingsError
from load.target import LoadConfig, config_from, refusal


@pytest.mark.parametrize(
    ("url", "allowed", "may"),
    [
        ("http://127.0.0.1:10002", (), True),
        ("http://127.9.9.9:1", (), True),
        ("https://[::1]:10002/api", (), True),
        ("http://localhost", (), True),
        ("http://localhost.example.com", (), False),
        ("http://127.0.0.1.example.com", (), False),
        ("http://user:127.0.0.1@openim.example.com", (), False),
        ("http://127.0.0.1@openim.example.com", (), False),
        ("http://10.0.0.1:10002", (), False),
        ("http://0.0.0.0:10002", (), False),
        ("http://openim.test:10002", ("openim.test",), True),
        ("http://OpenIM.test:10002", ("openim.TEST:10002",), True),
        ("http://openim.test:10003", ("openim.test:10002",), False),
        ("http://sub.openim.test", ("openim.test",), False),
        ("ftp://127.0.0.1", (), False),
        ("127.0.0.1:10002", (), False),
        ("http://127.0.0.1:port", (), False),
        ("", (), False),
    ],
)
def test_only_loopback_and_hosts_of_the_profile_may_be_loaded(url: str, allowed: tuple[str, ...], may: bool) -> None:
    """A host that merely resembles loopback is refused."""
    assert (refusal(url, allowed) is None) is may


def _profile(path: Path, options: str) -> str:
    path.write_text(
        f"""
        stack = "staging"
        phase = "baseline"
        [roles.openim]
        api_url = "http://openim.test:10002"
        secret = "from-profile"
        admin_user_id = "verifierAdmin"
        [canary]
        journal = "journals"
        [canary.options]
        {options}
        """
    )
    return str(path)


def test_what_the_command_line_does_not_give_comes_from_the_profile(tmp_path: Path) -> None:
    """Host, secret, canaries and permission are the profile's; the admin id is the one for load tests."""
    profile = _profile(
        tmp_path / "stack.toml", 'load_hosts = ["openim.test"]\nload_admin = "loadAdmin"\nload_users = ["a", "b", "c"]'
    )
    config = config_from({"profile": profile, "rate": 4, "host": None})
    assert config.api_url == "http://openim.test:10002"
    assert (config.secret, config.admin_user_id, config.stack) == ("from-profile", "loadAdmin", "staging")
    assert [config.user_id(number) for number in range(4)] == ["a", "b", "c", None]
    assert "from-profile" not in repr(config)


def test_what_is_missing_or_forbidden_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """Each message says what is missing and how to give it."""
    local = {"host": "http://127.0.0.1:1", "openim_secret": "s", "openim_admin": "a"}
    cases: list[tuple[Mapping[str, object], str]] = [
        ({}, "No target is given"),
        (local | {"host": "http://example.com"}, "does not allow load on it"),
        (local | {"openim_secret": ""}, "OPENIM_SECRET"),
        (local | {"openim_admin": ""}, "OPENIM_ADMIN"),
        (local | {"rate": 0}, "--rate 0: must be greater than 0"),
        ({"profile": str(tmp_path / "absent.toml")}, "there is no profile"),
        ({"profile": _profile(tmp_path / "a.toml", "")}, "does not allow load on it"),
        ({"profile": _profile(tmp_path / "b.toml", 'load_hosts = "openim.test"')}, "must be a list"),
    ]
    for options, sentence in cases:
        with pytest.raises(SettingsError, match=sentence):
            config_from(options)
    parsed = RunOptions.parse(local)
    assert parsed.load == RunOptions().load
    assert config_from(local) == LoadConfig(
        options=parsed,
        api_url="http://127.0.0.1:1",
        secret="s",  # noqa: S106 - of no server
        admin_user_id="a",
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"scenario": "groups", "transport": "rest"}, "--transport ws"),
        ({"scenario": "groups", "transport": "ws", "group_size": 2}, "3 people"),
        ({"scenario": "groups", "transport": "ws", "group_size": 20_000}, "10000"),
        ({"scenario": "groups", "transport": "ws", "group_size": 5, "group_connected": 6}, "does not fit"),
        ({"transport": "ws", "outage_slow": True, "outage_s": 20, "outage_every_s": 1}, "answers no ping"),
        ({"transport": "rest", "receipts_every_s": 1}, "what a user got"),
        ({"transport": "ws", "batch": 5}, "--transport rest"),
        ({"transport": "rest", "batch": 1001}, "1 to 1000"),
        ({"transport": "ws", "outage_share": 0.0, "outage_every_s": 1}, "greater than 0 and at most 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], says: str) -> None:
    """Before anything is sent, with the option's name."""
    with pytest.raises(SettingsError, match=says):
        config_from(
            {
                "host": "http://127.0.0.1:1",
                "openim_secret": "s",
                "ws_url": "ws://127.0.0.1:1",
                "openim_admin": "a",
                **options,
            }
        )


def test_abort_limits_need_the_websocket() -> None:
    """Limits are not monitored over REST; the message names the option that is needed."""
    with pytest.raises(SettingsError, match="--transport ws"):
        config_from({"host": "http://127.0.0.1:1", "transport": "rest", "abort_backlog_most": 5})
