"""HTTP answers that are not OpenIM's: those of proxies and gateways in front of it, said in sentences.

OpenIM itself answers nearly everything with HTTP 200 and an envelope [F2, F3]. Its rate limiter and circuit breaker, if they are switched
on, answer with statuses as a proxy does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from verifier.stores.errors import Denied, RouteClosed, StoreError, TooLarge
from verifier.stores.http import BUSY, retry_after_s

PREFIX_HINT = "If the API is under a path, such as https://im.example.com/api, write the path into api_url."


class Busy(StoreError):
    """The server or a proxy cannot answer now. `wait_s`: how long it asks to wait, in seconds; None if it does not say."""

    def __init__(self, message: str, wait_s: float | None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class NoEnvelope(StoreError):
    """The answer has HTTP status 200 and is not OpenIM's."""


def envelope_of(response: httpx.Response, label: str, role: str, route: str) -> Mapping[str, Any]:
    """OpenIM's envelope in an answer, with an integer `errCode`. Raises StoreError, in a subclass, for everything else."""
    status = response.status_code
    if status in BUSY:
        raise Busy(f"{_who(response, label)} answered {route} with {_what(response)}.", retry_after_s(response))
    if status == 413:
        raise TooLarge(f"{label}: the request to {route} is too large for a proxy in front (HTTP 413).")
    if 300 <= status < 400:
        raise StoreError(_redirected(response, label, role, route))
    if status == 401:
        raise Denied(
            f"{label}: a proxy in front asks for a login of its own (HTTP 401 to {route}). OpenIM does not use this status. "
            f"Let the verifier pass the proxy, or give roles.{role}.api_url an address behind it."
        )
    if status in (403, 404, 405):
        raise RouteClosed(
            f"{label} answered {route} with {_what(response)}: the route is closed, or api_url does not point to an OpenIM API "
            f"of version 3.8. {PREFIX_HINT}"
        )
    if status != 200 or not response.content.strip():
        raise StoreError(
            f"{label} answered {route} with {_what(response)}. Does roles.{role}.api_url point to an OpenIM API of version 3.8?"
        )
    try:
        # With bytes, a byte order mark is skipped.
        envelope = json.loads(response.content)
    except (ValueError, RecursionError):
        envelope = None
    if not isinstance(envelope, Mapping) or type(envelope.get("errCode")) is not int:
        raise NoEnvelope(
            f"{label} answered {route} with {_what(response)} instead of OpenIM's envelope. A login page or another service "
            f"may answer at roles.{role}.api_url. {PREFIX_HINT}"
        )
    return envelope


def _who(response: httpx.Response, label: str) -> str:
    return f"{label}: a proxy in front" if _is_html(response) else label


def _is_html(response: httpx.Response) -> bool:
    return "html" in response.headers.get("content-type", "").lower() or response.content.lstrip()[:1] == b"<"


def _what(response: httpx.Response) -> str:
    """The answer in words. Its text is not shown, because it may contain anything."""
    if not response.content.strip():
        body = "no body"
    elif _is_html(response):
        body = "HTML"
    else:
        body = "JSON" if "json" in response.headers.get("content-type", "").lower() else "other text"
    return f"HTTP {response.status_code} and {body}"


def _redirected(response: httpx.Response, label: str, role: str, route: str) -> str:
    """Where a redirect leads and what to do about it. It is never followed: the request carries an administrator's token."""
    said = f"{label} answered {route} with a redirect (HTTP {response.status_code})"
    asked = response.request.url
    try:
        target = asked.join(response.headers["location"])
    except (KeyError, httpx.InvalidURL):
        return f"{said} to nowhere. Does roles.{role}.api_url point to OpenIM's API?"
    if target.scheme not in ("http", "https") or not target.host or "%" in target.host:
        return f"{said} to something that is no web address. Does roles.{role}.api_url point to OpenIM's API?"
    place = f"{target.scheme}://{target.netloc.decode('ascii', 'replace')}"
    if target.host != asked.host:
        return (
            f"{said} to another host, {place}. It was not followed, because the admin token would go with it. If OpenIM's API is "
            f"there, set roles.{role}.api_url to it."
        )
    if target.path.rstrip("/").endswith(route):
        base = place + target.path.rstrip("/").removesuffix(route)
        return f"{said} to {base}. It was not followed. Set roles.{role}.api_url = {base!r} in the profile."
    return f"{said} to another page of {place}. It was not followed. Does a login page stand before OpenIM's API? {PREFIX_HINT}"
