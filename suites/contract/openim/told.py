"""What is told of a row that does not agree."""

from __future__ import annotations

from suites.contract.openim.parity import Row


def refusal_of(row: Row) -> str:
    """Each difference that nobody declared, and each declaration that is no longer true, on a line."""
    lines = [one.told for one in row.differences if not one.reason]
    lines += [f"no longer occurs; take it out of deviations.toml: {one.what!r} ({one.reason})" for one in row.healed]
    return "\n".join(lines)
