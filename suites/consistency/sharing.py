"""One run for a whole session, also where its tests are spread over processes: the first judges, the others read."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

from reports.runs import read_run
from suites.consistency.judged import JudgedRun
from verifier.render.json import to_json


def once(shared: Path, make: Callable[[], JudgedRun]) -> JudgedRun:
    """What `make` gives; under pytest-xdist it is called by one worker alone. `shared`: a directory that all of them see."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make()
    kept = shared / "consistency-run.json"
    with (shared / "consistency-run.lock").open("w") as lock:
        # Two workers would also take the stack's lock from one another, and load the stack twice.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            raw = json.loads(kept.read_text(encoding="utf-8"))
            return JudgedRun(result=read_run(raw["run"])[0], accepted=raw["accepted"])
        run = make()
        text = json.dumps({"run": to_json(run.result, exit_code=run.exit_code), "accepted": run.accepted})
        kept.write_text(text, encoding="utf-8")
        return run
