"""The catalogue on generated platforms: every case is answered correctly in shapes that have little in common."""

from __future__ import annotations

import pytest

from fixtures.blueprints.shape.options import Shape, make
from fixtures.faults.logical import LOGICAL
from fixtures.scenarios.shapes import churn_shape, run_shape
from fixtures.stack.stack import Stack
from suites.scorecard.shapes import chosen, score, select_cases
from verifier.model.verdict import RunResult, Verdict

pytestmark = pytest.mark.long

STRANGE = {
    "words": "reserved", "databases": "one", "schema": "own", "table": "partitioned", "user_key": "bytea",
    "chat_key": "char", "group_key": "numeric", "identity": "prefix", "time": "timestamp", "zone": "stored_local",
    "never": "zero", "flag": "words", "key_layout": "with_platform", "key_codec": "json_deep", "scope": "all",
    "broker": "none",
}  # fmt: skip
ELSEWHERE = {
    "words": "camel", "user_key": "bigint", "identity": "prefix", "users_in": "mongo", "gone": "smallint",
    "sessions_in": "mongo", "messages_in": "postgres", "message_key": "composite", "conversations_in": "mongo",
    "reads_in": "mongo", "presence_in": "mongo", "document_time": "iso_text", "never": "null", "redis": "two_indexes",
    "key_owner": "openim", "key_codec": "hash", "neighbours": "none", "friends": "mirrored", "broker": "none",
}  # fmt: skip
SHAPES = (make(1, {"broker": "none"}), make(2, STRANGE), make(3, ELSEWHERE))


@pytest.mark.parametrize("shape", SHAPES, ids=("ordinary", "strange-types", "other-stores"))
def test_every_case_is_answered(stack: Stack, shape: Shape) -> None:
    """Breaches are reported by exactly their checks, look-alikes by none, and nothing is unexplained."""
    run = run_shape(stack, shape, with_traffic=shape.seed == 2)
    card = score(run)
    assert [f"{case.id}: {case.said}" for case in card.misses] == []
    assert card.false_alarms == []
    assert card.unexplained == []
    assert len(card.cases) > 100


def test_a_case_that_is_not_reported_is_a_miss(stack: Stack) -> None:
    """The score notices a breach that was planted and not seen: here it is repaired before the run."""
    shape = make(2, {"broker": "none"})
    run = run_shape(stack, shape, only=frozenset({"TOK-01/lost"}))
    (planted,) = [item for name, item in run.rounds.items() if name == "cutover breach"]
    planted.marks["TOK-01/lost"] = "another mark"
    card = score(run)
    assert [case.id for case in card.misses] == ["TOK-01/lost"]
    assert card.false_alarms


def test_a_used_shape_has_no_findings(stack: Stack) -> None:
    """Sign-ups, logins, bans, reports and support continue while a platform without breaches is judged again and again."""
    wrong: list[str] = []

    def tell(phase: str, _number: int, result: RunResult) -> None:
        wrong.extend(
            f"{phase}: {outcome.check_id}: {outcome.judgement.reason or outcome.judgement.findings}"
            for outcome in result.outcomes
            if outcome.verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE)
        )

    done = churn_shape(stack, make(4, {"broker": "none"}), for_s=6, tell=tell)
    assert wrong == []
    assert {"sign_up", "rename", "ban", "say", "ask_support"} <= done.keys()


def test_shapes_are_chosen() -> None:
    """The command line's choices: the ordinary shape, drawn ones from a seed on, and the covering array or a part of it."""
    assert [shape.seed for shape in chosen("ordinary", seed=4, count=0)] == [4]
    assert [shape.seed for shape in chosen("random", seed=4, count=3)] == [4, 5, 6]
    assert [shape.seed for shape in chosen("covering", seed=2, count=2)] == [2, 3]
    with pytest.raises(ValueError, match="there are: ordinary, random, covering"):
        chosen("all", seed=1, count=1)


def test_cases_are_selected_by_id_and_by_check() -> None:
    """`--only` takes ids of cases and of checks."""
    assert select_cases(["TOK-01/lost"]) == {"TOK-01/lost"}
    assert select_cases(["USR-02"]) == {case.id for case in LOGICAL if "USR-02" in case.fault.expects | case.fault.near}
    assert select_cases(["NOPE-01"]) == frozenset()
