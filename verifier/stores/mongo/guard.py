"""The allow-list for MongoDB commands and pipelines. What is not on it is not passed to the driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from verifier.stores.errors import Forbidden

READ_COMMANDS = frozenset(
    """
    find aggregate listCollections listDatabases collStats serverStatus hello ping buildInfo connectionStatus replSetGetStatus
    """.split()
)

READ_STAGES = frozenset(
    """
    $match $project $addFields $set $unset $replaceRoot $replaceWith $redact $unwind $sort $limit $skip $sample $count
    $group $sortByCount $bucket $bucketAuto $facet $lookup $graphLookup $unionWith $setWindowFields $densify $fill $documents
    $collStats $indexStats $changeStream
    """.split()
)

# Stages that write, and operators that run JavaScript: refused at any depth.
DENIED_OPERATORS = frozenset("$out $merge $where $function $accumulator".split())
_INTERNAL = "$_"


def require_read_command(command: Mapping[str, Any]) -> None:
    """Raise Forbidden unless the command is on the list and nothing inside it writes or runs code on the server."""
    name = next(iter(command), "")
    if name not in READ_COMMANDS:
        raise Forbidden(f"refused the MongoDB command {name}: it is not on the list of commands that only read")
    if name == "aggregate":
        require_read_pipeline(command.get("pipeline"))
    _walk({key: value for key, value in command.items() if key != "pipeline"})


def require_read_pipeline(pipeline: Any) -> None:
    """Raise Forbidden unless every stage is on the list, those of nested pipelines included."""
    if not isinstance(pipeline, Sequence) or isinstance(pipeline, str | bytes):
        raise Forbidden("refused a MongoDB aggregation: its pipeline is not a list of stages")
    for stage in pipeline:
        if not isinstance(stage, Mapping) or len(stage) != 1:
            raise Forbidden("refused a MongoDB aggregation: a stage is a table with exactly one operator")
        name = next(iter(stage))
        if name not in READ_STAGES:
            raise Forbidden(f"refused the MongoDB stage {name}: it is not on the list of stages that only read")
        if name == "$facet":
            _facets(stage[name])
        _walk(stage)


def _facets(facets: Any) -> None:
    if not isinstance(facets, Mapping):
        raise Forbidden("refused the MongoDB stage $facet: its value is not a table of pipelines")
    for pipeline in facets.values():
        require_read_pipeline(pipeline)


def _walk(value: Any) -> None:
    """Check every level. A key may be a stage, an operator or a field of any name."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in DENIED_OPERATORS or str(key).startswith(_INTERNAL):
                raise Forbidden(f"refused a MongoDB query with {key}: it writes, or runs code on the server")
            if key == "pipeline" and isinstance(inner, list | tuple):
                require_read_pipeline(inner)
            _walk(inner)
    elif isinstance(value, list | tuple):
        for item in value:
            _walk(item)
