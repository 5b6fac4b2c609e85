"""MQ-04 from a journal: what the canary's push sink received is of a declared type and gives no chat away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from verifier.judges.judgement import JournalJudgement, Problems
from verifier.judges.operation import Operation
from verifier.model.invariant import Problem


def judge_push_types(
    operations: Iterable[Operation], *, types: Sequence[str], chat_fields: Sequence[str]
) -> JournalJudgement | None:
    """None where no push with a `type` was recorded; the `fields` of a push are the names in its payload, never the values."""
    problems, seen = Problems(), 0
    for item in operations:
        if item.op not in ("push", "push_type") or not item.text("type"):
            continue
        seen += 1
        given_away = [name for name in item.names("fields") if name in chat_fields]
        if item.text("type") in types and not given_away:
            continue
        problems.add(
            Problem(
                key=item.text("notification_id") or item.id,
                summary=f"a push of type {item.text('type')!r} reached the sink"
                + (f" with {', '.join(given_away)}" if given_away else ""),
                expected=f"types {', '.join(types)}, without chat fields",
                actual=str(item),
                next_step="Stop the push worker's chat path: OpenIM pushes chat messages.",
            )
        )
    if not seen:
        return None
    return JournalJudgement(
        problems=tuple(problems.told), problems_total=problems.total, seen=seen, total=seen, unit="pushes"
    )
