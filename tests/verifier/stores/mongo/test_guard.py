"""The MongoDB allow-list passes reads and refuses everything else, however deep a write is nested."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier.stores.errors import Forbidden
from verifier.stores.mongo.guard import DENIED_OPERATORS, READ_STAGES, require_read_command, require_read_pipeline

WRITING_COMMANDS = """
    insert update delete findAndModify findandmodify mapReduce drop dropDatabase create createIndexes dropIndexes renameCollection
    collMod convertToCapped compact bulkWrite createUser grantRolesToUser shutdown fsync setParameter eval killOp profile
    replSetStepDown getMore killCursors endSessions currentOp top validate FIND Find
""".split()

_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("a b.c $gt $in $and".split()), inner, max_size=3)
    ),
    max_leaves=8,
)
_read_stages = st.sampled_from(["$match", "$project", "$addFields", "$group", "$sort", "$redact"]).flatmap(
    lambda name: st.fixed_dictionaries({name: _plain})
)


def _wrapped(stage: dict[str, Any], depth: list[str]) -> dict[str, Any]:
    """A stage inside stages that have pipelines."""
    for holder in depth:
        match holder:
            case "$facet":
                stage = {"$facet": {"one": [{"$match": {}}], "two": [stage]}}
            case "$unionWith":
                stage = {"$unionWith": {"coll": "other", "pipeline": [stage]}}
            case _:
                stage = {"$lookup": {"from": "other", "as": "found", "pipeline": [stage]}}
    return stage


_depths = st.lists(st.sampled_from(["$facet", "$unionWith", "$lookup"]), max_size=4)


@settings(deadline=None)
@given(stages=st.lists(_read_stages, max_size=4), depth=_depths)
def test_reading_pipelines_pass(stages: list[dict[str, Any]], depth: list[str]) -> None:
    """Pipelines that only read pass, nested or not."""
    require_read_pipeline([_wrapped(stage, depth) for stage in stages])


@settings(deadline=None)
@given(
    stages=st.lists(_read_stages, max_size=3),
    writing=st.sampled_from([{"$out": "copy"}, {"$out": {"db": "x", "coll": "y"}}, {"$merge": {"into": "messages"}}]),
    depth=_depths,
    position=st.integers(0, 3),
)
def test_a_writing_stage_is_refused_at_any_depth(
    stages: list[dict[str, Any]], writing: dict[str, Any], depth: list[str], position: int
) -> None:
    """$out and $merge are refused at any depth."""
    stages.insert(position, _wrapped(writing, depth))
    with pytest.raises(Forbidden):
        require_read_pipeline(stages)


@settings(deadline=None)
@given(
    operator=st.sampled_from([*sorted(DENIED_OPERATORS), "$_internalJsEmit"]),
    path=st.lists(st.sampled_from(["$match", "$expr", "$and", "field", "pipeline"]), max_size=5),
)
def test_code_is_refused_at_any_depth(operator: str, path: list[str]) -> None:
    """JavaScript is refused under any operator or field, in pipelines and in filters."""
    hidden: Any = {operator: "function () { return true }"}
    for name in path:
        hidden = {name: [hidden, 1]}
    with pytest.raises(Forbidden):
        require_read_command({"find": "messages", "filter": hidden})
    with pytest.raises(Forbidden):
        require_read_command({"aggregate": "messages", "pipeline": [{"$match": hidden}], "cursor": {}})


@settings(deadline=None)
@given(
    name=st.text(max_size=12).filter(lambda text: text not in READ_STAGES) | st.just("$currentOp"),
    body=_plain,
    depth=_depths,
)
def test_an_unknown_stage_is_refused(name: str, body: Any, depth: list[str]) -> None:
    """A stage that is not on the list is refused at any depth."""
    with pytest.raises(Forbidden, match="not on the list"):
        require_read_pipeline([_wrapped({name: body}, depth)])


@pytest.mark.parametrize("name", WRITING_COMMANDS)
def test_a_command_off_the_list_is_refused(name: str) -> None:
    """Writes, administration and other spellings of reads are refused."""
    with pytest.raises(Forbidden, match="not on the list"):
        require_read_command({name: "messages"})


@pytest.mark.parametrize(
    "pipeline", [None, "x", b"x", {"$match": {}}, [1], [{}], [{"$match": {}, "$out": "x"}], [{"$facet": []}]]
)
def test_something_other_than_a_pipeline_is_refused(pipeline: Any) -> None:
    """A form that the guard does not know is refused."""
    with pytest.raises(Forbidden):
        require_read_command({"aggregate": "messages", "pipeline": pipeline, "cursor": {}})


def test_the_first_key_is_the_command() -> None:
    """A reading command after a writing one does not make it pass."""
    with pytest.raises(Forbidden):
        require_read_command({"delete": "messages", "find": "messages"})
    with pytest.raises(Forbidden):
        require_read_command({})
