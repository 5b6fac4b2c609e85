"""Answers that are not OpenIM's become sentences that name the cause and the next step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from verifier.stores.errors import Denied, RouteClosed, StoreError, TooLarge
from verifier.stores.openim.responses import Busy, NoEnvelope, envelope_of

ROUTE = "/user/get_users"
HTML = {"content-type": "text/html; charset=utf-8"}


def _envelope(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None, url: str = "http://im/api"
) -> object:
    request = httpx.Request("POST", url + ROUTE)
    response = httpx.Response(status, content=body, headers=headers, request=request)
    return envelope_of(response, "openim (OpenIM REST)", "openim", ROUTE)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://im/api/user/get_users", "Set roles.openim.api_url = 'https://im/api'"),
        ("https://im:8443/api/user/get_users/", "Set roles.openim.api_url = 'https://im:8443/api'"),
        ("/v3/user/get_users?token=secret", "Set roles.openim.api_url = 'http://im/v3'"),
        ("https://user:secret@elsewhere.example/api/user/get_users", "to another host, https://elsewhere.example"),
        ("//elsewhere.example/x?token=secret", "to another host, http://elsewhere.example"),
        ("/login?next=secret", "to another page of http://im"),
        ("javascript:secret", "no web address"),
        ("http://[secret", "no web address"),
        (None, "to nowhere"),
    ],
)
def test_redirects(location: str | None, said: str) -> None:
    """A redirect is not followed. The sentence says what to put into the profile, and shows nothing but hosts and paths."""
    with pytest.raises(StoreError) as caught:
        _envelope(307, headers={"location": location} if location else {})
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "headers", "error", "said"),
    [
        (502, b"<html>Bad Gateway</html>", HTML, Busy, "a proxy in front answered /user/get_users with HTTP 502 and HTML"),
        (503, b"", {}, Busy, "HTTP 503 and no body"),
        (504, b"<h1>", {}, Busy, "HTTP 504 and HTML"),
        (413, b"", {}, TooLarge, "too large"),
        (401, b"", {}, Denied, "asks for a login of its own"),
        (403, b"", {}, RouteClosed, "the route is closed"),
        (404, b"<html>nginx</html>", HTML, RouteClosed, "If the API is under a path, such as https://im.example.com/api"),
        (200, b"", {}, StoreError, "HTTP 200 and no body"),
        (200, b" \n", {}, StoreError, "HTTP 200 and no body"),
        (204, b"", {}, StoreError, "HTTP 204 and no body"),
        (500, b"{}", {"content-type": "application/json"}, StoreError, "HTTP 500 and JSON"),
        (400, b"The plain HTTP request was sent to HTTPS port", {}, StoreError, "HTTP 400 and other text"),
        (200, b"<!DOCTYPE html>", HTML, NoEnvelope, "HTML instead of OpenIM's envelope"),
        (200, b"[1]", {}, NoEnvelope, "instead of OpenIM's envelope"),
        (200, b'{"errCode": "0"}', {}, NoEnvelope, "instead of OpenIM's envelope"),
        (200, b'{"errCode": true}', {}, NoEnvelope, "instead of OpenIM's envelope"),
        (200, b'{"code": 0}', {}, NoEnvelope, "instead of OpenIM's envelope"),
        (200, b'{"errCode": 0, "data": {"us', {}, NoEnvelope, "instead of OpenIM's envelope"),
        (200, b"[" * 200_000, {}, NoEnvelope, "instead of OpenIM's envelope"),
        (200, b"\xff\xfe\x00\xd8", {}, NoEnvelope, "instead of OpenIM's envelope"),
        (200, b"9" * 10_000, {}, NoEnvelope, "instead of OpenIM's envelope"),
    ],
)  # fmt: skip
def test_answers_that_are_no_envelope(
    status: int, body: bytes, headers: dict[str, str], error: type[StoreError], said: str
) -> None:
    """Each has its kind of error, and none of them crashes."""
    with pytest.raises(error) as caught:
        _envelope(status, body, headers)
    assert said in str(caught.value)
    assert str(caught.value).startswith("openim (OpenIM REST)")


def test_an_envelope_may_begin_with_a_byte_order_mark() -> None:
    """The content type does not matter."""
    assert _envelope(200, b'\xef\xbb\xbf{"errCode": 0, "data": null}', HTML) == {"errCode": 0, "data": None}


NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=9), usegmt=True), "date": format_datetime(NOW, usegmt=True)}, 9.0),
        ({"retry-after": format_datetime(NOW - timedelta(days=1), usegmt=True), "date": format_datetime(NOW, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e3"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_how_long_to_wait(headers: dict[str, str], wait_s: float | None) -> None:
    """`Retry-After` is a number of seconds or a time by the server's own clock; anything else says nothing."""
    with pytest.raises(Busy) as caught:
        _envelope(429, headers=headers)
    assert caught.value.wait_s == wait_s
