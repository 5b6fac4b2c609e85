"""The last line of defence: what looks like a secret, or would play tricks on a screen, never leaves a renderer.

Findings are built without sensitive values in the first place; this module assumes that somebody forgot. It errs on the
side of hiding: a hidden harmless word costs a look into the store, a printed token costs an account.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace

from verifier.model.finding import Finding
from verifier.model.footprint import Footprint
from verifier.model.verdict import Coverage, Judgement, Outcome, RunResult

HIDDEN = "[hidden]"
TEXT_MAX = 4000
"""Characters shown of one text; a nickname may well have a million."""

# Every pattern below starts at a word's beginning or is bounded, so that a hostile megabyte costs linear time.

# Words with a dot inside, of the characters of base64url; one is a JWT from where a part begins with `eyJ` (which is `{"`).
# A token that was cut short still gives its claims away, hence no demand on the signature.
_DOTTED = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]++\.[A-Za-z0-9_.-]++")
_JWT_HEAD = re.compile(r"eyJ[A-Za-z0-9_-]{5}")

# scheme://user:password@host. What follows the colon and looks like a port is one. The password may hold `@`, `:`, `/`.
_USERINFO = re.compile(
    r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]{1,30}://)(?P<user>[^\s:/@?#]{0,256}):(?!\d{1,5}(?:[/?#\s]|\Z))\S{0,512}@"
)

# What stands after an imToken key as its value: `im:token:u1 = …`, `"im:token:u1": "…"`, `im:token:u1 -> …`. Short words
# are the verifier's own ("missing", "no TTL").
_TOKEN_VALUE = re.compile(
    r"(?P<key>im:token:[^\s\"'=]{1,128}[\"']?\s{0,4}(?:=|->|=>|→|:\s)\s{0,4})(?P<quote>[\"']?)[^\s\"']{12,}(?P=quote)",
    re.IGNORECASE,
)

# name=value and name: value pairs whose name says what the value is.
_NAMED = re.compile(
    r"(?P<name>(?:\b\w{0,40}?(?:password|passwd|pwd|secret|api[_-]?key|authorization|sslpassword|passphrase"
    r"|(?:im|access|refresh|admin|session|bearer)[_-]?token)|[?&](?:token|sign|signature|key))[\"']?\s{0,4}[=:]\s{0,4})"
    r"(?P<bearer>(?:bearer|basic)\s+)?(?P<quote>[\"']?)(?!\[hidden\])[^\s\"'&,;]+(?P=quote)",
    re.IGNORECASE,
)

# Control, format (bidirectional overrides, zero width), surrogate and private-use characters; line breaks and tabs stay.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Emoji are joined by these two, and they cannot reorder or hide text.
_JOINERS = frozenset("\u200d\ufe0f")


def hide_secrets(text: str) -> str:
    """Return `text` with tokens, passwords in URLs and values of secret names replaced by `[hidden]`."""
    text = _DOTTED.sub(_hide_jwt, text)
    text = _USERINFO.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", text)
    text = _TOKEN_VALUE.sub(rf"\g<key>{HIDDEN}", text)
    return _NAMED.sub(rf"\g<name>{HIDDEN}", text)


def _hide_jwt(match: re.Match[str]) -> str:
    # Other words may stand before it, joined by dots: `v1.eyJ…`, `3.eyJ…`.
    head = _JWT_HEAD.search(match[0])
    return match[0][: head.start()] + HIDDEN if head else match[0]


def show_invisible(text: str) -> str:
    """Return `text` with every character that steers a terminal, reorders a line or breaks XML written as its escape."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in "\n\t" or character in _JOINERS or unicodedata.category(character) not in _INVISIBLE:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def clean(text: str) -> str:
    """Both, and shortened: fit for a terminal, a file and other people's eyes."""
    # A zero-width character in the middle of a token must not save it from being recognised.
    bare = text if text.isprintable() else "".join(char for char in text if _visible(char) == char)
    hidden = hide_secrets(bare)
    shown = hidden if hidden != bare else show_invisible(text)
    # Shortened last: half a password is a secret that no pattern recognises.
    if len(shown) <= TEXT_MAX:
        return shown
    return f"{shown[:TEXT_MAX]}… ({len(text)} characters)"


def clean_finding(finding: Finding) -> Finding:
    """A copy that may be shown. The raw key is emptied: only the history database keeps it."""
    return replace(
        finding,
        key=clean(finding.key),
        raw_key="",
        summary=clean(finding.summary),
        expected=clean(finding.expected),
        actual=clean(finding.actual),
        next_step=clean(finding.next_step),
        evidence=_clean_mapping(finding.evidence),
    )


def clean_judgement(judgement: Judgement) -> Judgement:
    """A copy that may be shown."""
    return replace(
        judgement,
        reason=clean(judgement.reason),
        coverage=tuple(_clean_coverage(item) for item in judgement.coverage),
        notes=tuple(clean(note) for note in judgement.notes),
        findings=tuple(clean_finding(item) for item in judgement.findings),
        queries=tuple(clean(query) for query in judgement.queries),
    )


def clean_outcome(outcome: Outcome) -> Outcome:
    """A copy that may be shown."""
    return replace(outcome, title=clean(outcome.title), judgement=clean_judgement(outcome.judgement))


def clean_result(result: RunResult) -> RunResult:
    """A copy that may be shown; every renderer starts with it."""
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
    # A profile's own `where` and `select` are part of a statement, and may quote what they should not.
    statements = tuple(replace(item, statement=clean(item.statement)) for item in footprint.statements)
    return replace(footprint, statements=statements)


def _clean_coverage(coverage: Coverage) -> Coverage:
    return replace(
        coverage,
        unit=clean(coverage.unit),
        text=clean(coverage.text),
        unseen=tuple(clean(item) for item in coverage.unseen),
    )


def _clean_mapping(mapping: Mapping[str, str]) -> dict[str, str]:
    # A name in front of a value can be what makes it a secret (`password`), so the pair is judged together as well.
    return {clean(name): _clean_value(name, str(value)) for name, value in mapping.items()}


def _clean_value(name: str, value: str) -> str:
    cleaned = clean(value)
    prefix = f"{name}: "
    paired = hide_secrets(f"{prefix}{cleaned}")
    return paired.removeprefix(prefix) if paired.startswith(prefix) else HIDDEN
