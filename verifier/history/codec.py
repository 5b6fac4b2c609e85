"""Outcomes and findings as JSON documents. Stored documents are redacted; only the raw key, in a column of its own, is not."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from verifier.model.finding import Finding
from verifier.model.redact import clean_finding, clean_outcome
from verifier.model.verdict import Outcome


@cache
def _findings() -> TypeAdapter[Finding]:
    return TypeAdapter(Finding)


@cache
def _outcomes() -> TypeAdapter[Outcome]:
    return TypeAdapter(Outcome)


def dump_finding(finding: Finding) -> dict[str, Any]:
    """A JSON object without secrets and without the raw key."""
    document: dict[str, Any] = _findings().dump_python(clean_finding(finding), mode="json")
    return document


def load_finding(document: dict[str, Any], raw_key: str) -> Finding:
    """Inverse of `dump_finding`; `raw_key` is added again."""
    return _findings().validate_python({**document, "raw_key": raw_key})


def dump_outcome(outcome: Outcome) -> dict[str, Any]:
    """A JSON object without secrets and without raw keys."""
    document: dict[str, Any] = _outcomes().dump_python(clean_outcome(outcome), mode="json")
    return document


def load_outcome(document: dict[str, Any]) -> Outcome:
    """Inverse of `dump_outcome`; the findings' raw keys are empty."""
    return _outcomes().validate_python(document)
