"""Removes secrets and unsafe characters from everything that is shown or stored.

Findings are built without sensitive values; this module is the safeguard if one slips through. When in doubt it hides: a
hidden harmless word costs a look into the store, a printed token costs an account.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace

from verifier.model.finding import Finding
from verifier.model.footprint import Footprint
from verifier.model.verdict import Coverage, Judgement, Outcome, RunResult

HIDDEN = "[hidden]"
TEXT_MAX = 4000
"""The maximum length of one text in characters. A nickname may have a million."""

# Every pattern below starts at the beginning of a word or is bounded, so that a hostile megabyte takes linear time.

# Words of base64url characters with a dot inside. From the part that begins with `eyJ` (which is `{"`) on, it is a JWT.
# A truncated token still reveals its claims, so no signature is required.
_DOTTED = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++\.[A-Za-z0-9_.-]++")
_JWT_HEAD = re.compile(r"eyJ[A-Za-z0-9_-]{5}")

# scheme://user:password@host. A number after the colon is a port. The password may contain `@`, `:` and `/`.
_USERINFO = re.compile(
    r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{1,30}://)(?P<user>[^\s:/@?#]{0,256}):(?!\d{1,5}(?:[/?#\s]|\Z))\S{0,512}@"
)

# The value after an imToken key: `im:token:u1 = …`, `"im:token:u1": "…"`, `im:token:u1 -> …`. Short words come from the
# verifier itself ("missing", "no TTL").
_TOKEN_VALUE = re.compile(
    r"(?P<key>im:token:[^\s\"'=]{1,128}[\"']?\s{0,4}(?:=|->|=>|→|:\s)\s{0,4})(?P<quote>[\"']?)[^\s\"']{12,}(?P=quote)",
    re.IGNORECASE,
)

# name=value and name: value pairs whose name marks a secret. A wildcard or placeholder is the end of a key pattern, no value.
_NAMED = re.compile(
    r"(?P<name>(?:\b\w{0,40}?(?:password|passwd|pwd|secret|api[_-]?key|authorization|sslpassword|passphrase"
    r"|(?:im|access|refresh|admin|session|bearer)[_-]?token)|[?&](?:token|sign|signature|key))[\"']?\s{0,4}[=:]\s{0,4})"
    r"(?P<bearer>(?:bearer|basic)\s+)?(?P<quote>[\"']?)(?!\[hidden\]|(?:\*|\?|\{\w{1,40}\})(?:[\s\"'&,;:)/]|\Z))[^\s\"'&,;]+(?P=quote)",
    re.IGNORECASE,
)

# Control, format (bidirectional overrides, zero width), surrogate and private-use characters; line breaks and tabs stay.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# These two join emoji. They cannot reorder or hide text.
_JOINERS = frozenset("\u200d\ufe0f")


SECRET_MIN = 6
WORD_MIN = 12
"""Shorter secrets, and shorter ones of lower case letters alone, are not looked for: they would hide the words of the report."""

_known: list[str] = []


def hide_from_now_on(secrets: Iterable[str]) -> None:
    """Hide these texts wherever they appear, unless they are too short for that."""
    found = {item for item in secrets if len(item) >= (WORD_MIN if item.isalpha() and item.islower() else SECRET_MIN)}
    _known[:] = sorted({*_known, *found}, key=len, reverse=True)  # a secret may contain another one


def hide_secrets(text: str) -> str:
    """Return `text` with tokens, passwords in URLs, values of secret names and known secrets replaced by `[hidden]`."""
    for secret in _known:
        text = text.replace(secret, HIDDEN)
    text = _DOTTED.sub(_hide_jwt, text)
    text = _USERINFO.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", text)
    text = _TOKEN_VALUE.sub(rf"\g<key>{HIDDEN}", text)
    return _NAMED.sub(rf"\g<name>{HIDDEN}", text)


def _hide_jwt(match: re.Match[str]) -> str:
    # Other words may precede it, joined by dots: `v1.eyJ…`, `3.eyJ…`.
    head = _JWT_HEAD.search(match[0])
    return match[0][: head.start()] + HIDDEN if head else match[0]


def show_invisible(text: str) -> str:
    """Return `text` with characters that control a terminal, reorder a line or break XML replaced by their escapes."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in "\n\t" or character in _JOINERS or unicodedata.category(character) not in _INVISIBLE:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def clean(text: str) -> str:
    """Return `text` without secrets and unsafe characters, at most `TEXT_MAX` characters long."""
    # A zero-width character in the middle of a token must not prevent its recognition.
    bare = text if text.isprintable() else "".join(char for char in text if _visible(char) == char)
    hidden = hide_secrets(bare)
    shown = hidden if hidden != bare else show_invisible(text)
    # Shortened last, because no pattern recognises half a password.
    if len(shown) <= TEXT_MAX:
        return shown
    return f"{shown[:TEXT_MAX]}… ({len(text)} characters)"


def clean_line(text: str) -> str:
    """The same on one line: data with a line break must not look like a line of the report."""
    return clean(text).replace("\n", "\\n").replace("\t", "\\t")


def clean_finding(finding: Finding) -> Finding:
    """A copy that may be shown. Its raw key is empty, because only the history database stores it."""
    return replace(
        finding,
        key=clean_line(finding.key),
        raw_key="",
        summary=clean_line(finding.summary),
        expected=clean_line(finding.expected),
        actual=clean_line(finding.actual),
        next_step=clean_line(finding.next_step),
        evidence=_clean_mapping(finding.evidence),
    )


def clean_judgement(judgement: Judgement) -> Judgement:
    """A copy that may be shown."""
    return replace(
        judgement,
        reason=clean_line(judgement.reason),
        coverage=tuple(_clean_coverage(item) for item in judgement.coverage),
        notes=tuple(clean_line(note) for note in judgement.notes),
        findings=tuple(clean_finding(item) for item in judgement.findings),
        queries=tuple(clean(query) for query in judgement.queries),
    )


def clean_outcome(outcome: Outcome) -> Outcome:
    """A copy that may be shown."""
    return replace(outcome, title=clean(outcome.title), judgement=clean_judgement(outcome.judgement))


def clean_result(result: RunResult) -> RunResult:
    """A copy that may be shown. Every renderer starts with it."""
    return replace(
        result,
        stack=clean(result.stack),
        phase=clean(result.phase),
        outcomes=tuple(clean_outcome(item) for item in result.outcomes),
        notes=tuple(clean(note) for note in result.notes),
        reads={clean(store): count for store, count in result.reads.items()},
        footprints={clean(store): _clean_footprint(item) for store, item in result.footprints.items()},
    )


def _clean_footprint(footprint: Footprint) -> Footprint:
    # A profile's `where` and `select` are part of a statement and may contain a secret.
    statements = tuple(replace(item, statement=clean(item.statement)) for item in footprint.statements)
    return replace(footprint, statements=statements)


def _clean_coverage(coverage: Coverage) -> Coverage:
    return replace(
        coverage,
        unit=clean_line(coverage.unit),
        text=clean_line(coverage.text),
        unseen=tuple(clean_line(item) for item in coverage.unseen),
    )


def _clean_mapping(mapping: Mapping[str, str]) -> dict[str, str]:
    # A name such as `password` can mark a value as a secret, so name and value are also checked together.
    return {clean_line(name): _clean_value(name, str(value)) for name, value in mapping.items()}


def _clean_value(name: str, value: str) -> str:
    cleaned = clean_line(value)
    prefix = f"{name}: "
    paired = hide_secrets(f"{prefix}{cleaned}")
    return paired.removeprefix(prefix) if paired.startswith(prefix) else HIDDEN
