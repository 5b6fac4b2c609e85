"""The last line of defence: what looks like a secret, or would play tricks on a screen, never leaves a renderer.

Findings are built without sensitive values in the first place; this module assumes that somebody forgot. It errs on the
side of hiding: a hidden harmless word costs a look into the store, a printed token costs an account.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace

from verifier.finding import Finding
from verifier.verdict import Coverage, Judgement, Outcome, RunResult

HIDDEN = "[hidden]"

# Three base64url parts, the first of which is a JSON object: `{"` encodes to `eyJ` whatever follows. A token that was cut
# short still gives its claims away, hence no demand on the length of the signature.
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?")

# scheme://user:password@host. The password may itself hold `@` or `:`; it ends at the last `@` before a slash or blank.
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,30}://)(?P<user>[^\s:/@?#]*):[^\s/]*@")

# What stands after an imToken key as its value: `im:token:u1 = …`, `"im:token:u1": "…"`, `GET im:token:u1 -> …`.
_TOKEN_VALUE = re.compile(
    r"(?P<key>im:token:[^\s\"'=]+[\"']?\s*(?:=|->|=>|→|:\s)\s*)(?P<quote>[\"']?)[^\s\"']+(?P=quote)", re.IGNORECASE
)

# name=value and name: value pairs whose name says what the value is.
_NAMED = re.compile(
    r"(?P<name>\b(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?token|imtoken|authorization|sslpassword)\b[\"']?\s*[=:]\s*)"
    r"(?P<bearer>(?:bearer|basic)\s+)?(?P<quote>[\"']?)(?!\[hidden\])[^\s\"'&,;]+(?P=quote)",
    re.IGNORECASE,
)

# Control, format (bidirectional overrides, zero width), surrogate and private-use characters; line breaks and tabs stay.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Emoji are joined by these two, and they cannot reorder or hide text.
_JOINERS = frozenset("\u200d\ufe0f")


def hide_secrets(text: str) -> str:
    """Return `text` with tokens, passwords in URLs and values of secret names replaced by `[hidden]`."""
    text = _JWT.sub(HIDDEN, text)
    text = _USERINFO.sub(rf"\g<scheme>\g<user>:{HIDDEN}@", text)
    text = _TOKEN_VALUE.sub(rf"\g<key>{HIDDEN}", text)
    return _NAMED.sub(rf"\g<name>{HIDDEN}", text)


def show_invisible(text: str) -> str:
    """Return `text` with every character that steers a terminal, reorders a line or breaks XML written as its escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in "\n\t" or character in _JOINERS or unicodedata.category(character) not in _INVISIBLE:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def clean(text: str) -> str:
    """Both: fit for a terminal, a file and other people's eyes."""
    # A zero-width character in the middle of a token must not save it from being recognised.
    bare = "".join(character for character in text if _visible(character) == character)
    hidden = hide_secrets(bare)
    return hidden if hidden != bare else show_invisible(text)


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
    )


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
