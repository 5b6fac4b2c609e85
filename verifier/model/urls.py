"""URLs with passwords: quoted before a driver parses them, because a driver's error message would show what it could not parse."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AUTHORITY_END = re.compile(r"[/?#]")
_LEGAL = "%!$&'()*+,;=-._~"  # RFC 3986: unreserved and sub-delims, and what is encoded already


def quoted_url(url: str, *, last_at: bool = False) -> str:
    """A URL whose user and password are percent-encoded, as far as it can be told where they end.

    A text without `://` is returned as it is. Raises ValueError, without any part of the URL, if a password holds a character that
    ends it: `/`, `?` or `#`. With `last_at` the last `@` ends it in any case, for URLs that have no `@` elsewhere.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    credentials, host = _at_last(rest) if last_at else _split(rest)
    if credentials is None:
        return url
    user, colon, password = credentials.partition(":")
    return f"{scheme}://{_quote(user)}{colon}{_quote(password)}@{host}"


def passwords_in(url: str) -> set[str]:
    """The password of a URL, as it is written and decoded; empty if there is none. It is not one if it equals the user's name."""
    credentials, _ = _split(url.partition("://")[2]) if "://" in url else (None, "")
    user, _, password = (credentials or "").partition(":")
    return {password, unquote(password)} - {"", user, unquote(user)}


def _split(rest: str) -> tuple[str | None, str]:
    """Credentials (None: there are none) and what follows their `@`. Raises ValueError if a reserved character makes this a guess."""
    end = found.start() if (found := _AUTHORITY_END.search(rest)) else len(rest)
    credentials, at, host = rest[:end].rpartition("@")
    path = rest[end:].partition("?")[0] if at else rest[end:]
    if "@" in path:
        raise ValueError(
            "the user or password holds a character that a URL reserves. Percent-encode it: # is %23, / is %2F, ? is %3F, @ is %40, "
            "% is %25, a space is %20"
        )
    return (credentials if at else None), host + rest[end:]


def _at_last(rest: str) -> tuple[str | None, str]:
    credentials, at, host = rest.rpartition("@")
    return (credentials if at else None), host


def _quote(text: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe=_LEGAL)
