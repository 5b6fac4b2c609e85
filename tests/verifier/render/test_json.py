"""The JSON report."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema_rs

from tests.verifier.render.leaking import leaking_result
from tests.verifier.render.samples import healthy_result, mixed_result
from verifier.model.verdict import ExitCode
from verifier.render.json import json_schema, to_json


def test_json_matches_its_schema() -> None:
    """The shipped schema is the generated one, and documents are valid."""
    shipped = json.loads((files("verifier.render") / "schema" / "run-1.json").read_text(encoding="utf-8"))
    assert shipped == json_schema(), "the format changed: only add fields, then write the schema file again"
    for result in (mixed_result(), healthy_result(), leaking_result(), replace(mixed_result(), outcomes=())):
        jsonschema_rs.validate(shipped, json.loads(json.dumps(to_json(result))))


def test_json_has_counts_findings_and_exit_code() -> None:
    """Counts of every verdict, findings with their total, and the exit code of the process."""
    document = to_json(mixed_result(), exit_code=ExitCode.INCONCLUSIVE)
    assert document["counts"] == {"violated": 3, "inconclusive": 1, "holds": 6, "waived": 1, "not_applicable": 5}
    assert (document["format"], document["version"], document["exit_code"]) == ("openim-ssot-verifier/run", 1, 2)
    users = next(item for item in document["checks"] if item["id"] == "USR-01")
    assert (users["findings_total"], len(users["findings"])) == (16, 4)
    assert users["findings"][0]["recheck_command"].startswith("verifier recheck ")
    assert users["findings"][0]["confirmed_at"] == "2026-11-23T02:17:09.500000Z"
    assert to_json(mixed_result())["exit_code"] == 1
