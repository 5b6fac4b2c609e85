"""Which webhooks are switched on: the file, its mistakes, the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from fixtures.clients.openim_calls import OpenIMError
from fixtures.openim.webhooks.catalogue import SERVICES
from fixtures.openim.webhooks.settings import SettingsError, load, parse
from fixtures.webhook_sink import refuse, running
from suites.selftest.openim import doubles
from suites.selftest.openim.doubles import ADMIN, SECRET

_FILES = {
    "hooks.toml": 'url = "http://h/x/"\n[beforeSendSingleMsg]\nenable = true\ntimeout = 2\ndeniedTypes = [113]\n',
    "hooks.json": '{"url":"http://h/x/","beforeSendSingleMsg":{"enable":true,"timeout":2,"deniedTypes":[113]}}',
    "webhooks.yml": (
        "url: http://h/x/\nbeforeSendSingleMsg:\n  enable: true\n  timeout: 2\n  failedContinue:\n  deniedTypes: [113]\n"
    ),
}


@pytest.mark.parametrize("name", _FILES)
def test_the_same_in_three_formats(tmp_path: Path, name: str) -> None:
    """TOML, JSON and the YAML of the real server's webhooks.yml say the same."""
    path = tmp_path / name
    path.write_text(_FILES[name])
    settings = load(path)
    assert settings.url == "http://h/x"
    hook = settings.enabled["beforeSendSingleMsg"]
    assert (hook.timeout, hook.denied_types, hook.failed_continue) == (2, (113,), False)


def test_a_webhook_that_says_nothing_is_off_and_patient() -> None:
    """The defaults: off, five seconds, failedContinue unset and honoured nowhere."""
    settings = parse({"afterQuitGroup": {}})
    hook = settings.hooks["afterQuitGroup"]
    assert (hook.enable, hook.timeout, hook.failed_continue) == (False, 5, False)
    assert not settings.enabled
    assert not settings.honour_failed_continue


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"beforeSendMsg": {}}, ["No such webhook: beforeSendMsg", *SERVICES]),
        ({"afterQuitGroup": {"enabled": True}}, ["afterQuitGroup.enabled", "failedContinue", "attentionIds"]),
        ({"afterQuitGroup": {"timeout": "5s"}}, ["afterQuitGroup.timeout"]),
        ({"afterQuitGroup": {"timeout": -1}}, ["afterQuitGroup.timeout"]),
        ({"afterQuitGroup": True}, ["afterQuitGroup must hold settings"]),
        ({"afterQuitGroup": {"enable": True}}, ["url must name the service"]),
        ({"url": "ftp://h", "afterQuitGroup": {"enable": True}}, ["url must name the service", "ftp://h"]),
        ({"honourFailedContinue": "yes"}, ["honourFailedContinue true or false"]),
    ],
)
def test_mistakes_are_told_in_a_sentence(content: dict[str, object], told: list[str]) -> None:
    """What is wrong, where, and what would be right: unknown names come with all that there are."""
    with pytest.raises(SettingsError) as error:
        parse(content)
    assert [part for part in told if part not in str(error.value)] == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("hooks.ini", "", "is none of .toml"),
        ("hooks.toml", "url = ", "cannot be read"),
        ("hooks.json", "[]", "not a list"),
        ("hooks.yml", "a: [", "cannot be read"),
        ("missing.yml", None, "No such file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, text: str | None, told: str) -> None:
    """The file is named, and why it cannot be used."""
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=told) as error:
        load(path)
    assert str(path) in str(error.value)


def test_the_command_line_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    """Exit code 2, one sentence, no traceback."""
    path = tmp_path / "webhooks.yml"
    path.write_text("url: http://h\nbeforeSendMsg:\n  enable: true\n")
    arguments = ["--port", "1", "--ws-port", "2", "--secret", SECRET, "--admin", ADMIN, "--webhooks", str(path)]
    with (tmp_path / "log").open("w") as log:
        process = doubles.start(arguments, stderr=log)
        assert process.wait(timeout=30) == 2
    text = (tmp_path / "log").read_text()
    assert "No such webhook: beforeSendMsg" in text
    assert "Traceback" not in text


def test_a_process_calls_its_webhooks(tmp_path: Path) -> None:
    """`--webhooks FILE` of the double as a process: a refusal reaches the caller; failedContinue as switched."""
    command = "callbackBeforeUserRegisterCommand"
    path = tmp_path / "webhooks.json"

    async def register(double: doubles.Running, name: str) -> int:
        async with double.client() as im:
            try:
                await im.user_register([{"userID": name, "nickname": name}])
            except OpenIMError as error:
                return error.err_code
            return 0

    with running() as sink:
        hook = {"enable": True, "failedContinue": True}
        path.write_text(json.dumps({"url": sink.url, "beforeUserRegister": hook}))
        honour = ("--webhooks", str(path), "--webhooks-honour-failed-continue")
        with doubles.running(tmp_path / "log", *honour) as double:
            sink.answer(command, refuse(7001))
            assert asyncio.run(register(double, "dan")) == 7001
            assert sink.of(command)[0].body["users"][0]["userID"] == "dan"
            sink.stop()
            assert httpx.get(double.api_url, trust_env=False).status_code == 404
            _wait_until_gone(sink.url)
            assert asyncio.run(register(double, "dan")) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def _wait_until_gone(url: str) -> None:
    """A receiver that was stopped still answers for a moment."""
    for _ in range(100):
        try:
            httpx.get(url, trust_env=False, timeout=1)
        except httpx.TransportError:
            return
    raise AssertionError(f"{url} still answers")
