"""One run for a whole session, also under pytest-xdist: the first worker runs the verifier, the others read the result."""

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
    """The result of `make`, which one worker calls. `shared`: a directory that all workers can read."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make()
    kept = shared / "consistency-run.json"
    with (shared / "consistency-run.lock").open("w") as lock:
        # Two workers would also compete for the stack's lock, and load the stack twice.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            raw = json.loads(kept.read_text(encoding="utf-8"))
            return JudgedRun(result=read_run(raw["run"])[0], accepted=raw["accepted"])
        run = make()
        text = json.dumps({"run": to_json(run.result, exit_code=run.exit_code), "accepted": run.accepted})
        kept.write_text(text, encoding="utf-8")
        return run
