"""Checks after a run: the verifier judges whether the load leaked into stores that must stay silent.

It runs as it does at night, with the profile's own history: its counter snapshots of the last run cover the load, too.
Checks that judge the canary's journal are left out: a load run neither writes nor changes that journal.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from verifier.checks.catalogue import load_checks
from verifier.checks.registry import NotApplicable
from verifier.model.verdict import ExitCode, Verdict
from verifier.profile import NotMapped, Profile, ProfileError, load_profile
from verifier.proofs import Delivery
from verifier.render.json import RunDocument

_SHOWN: Final = 10
OLD_CANARIES: Final = "MSG-05"
"""Reads canaries' older journals from disk."""
_COMMAND: Final = (sys.executable, "-c", "from verifier.commands.cli import main; main()", "run", "--quiet")


@dataclass(frozen=True, kw_only=True)
class PostRunVerdict:
    """The verifier's result. `broken`: the violated invariants with titles; `unknown`: the inconclusive ones with reasons."""

    exit_code: ExitCode
    headline: str
    broken: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    report: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the report of the run."""
        return {**asdict(self), "exit_code": int(self.exit_code)}

    def lines(self) -> list[str]:
        """For a terminal."""
        shown = [f"    violated: {name}" for name in self.broken] + [
            f"    inconclusive: {name}" for name in self.unknown
        ]
        more = [f"    and {len(shown) - _SHOWN} more ({self.report})"] if len(shown) > _SHOWN else []
        return [f"  the stack after the load: {self.headline}", *shown[:_SHOWN], *more]


def verify(profile: str, report: Path) -> PostRunVerdict:
    """Run the verifier; its JSON goes to `report`. Never raises: what prevents a run makes the result inconclusive."""
    try:
        chosen = _checks_of_stores(load_profile(Path(profile)))
    except ProfileError as error:
        return PostRunVerdict(exit_code=ExitCode.INCONCLUSIVE, headline=f"the verifier could not run: {error}")
    command = [*_COMMAND, "--profile", profile, "--json", str(report)]
    command += [part for name in chosen for part in ("--only", name)]
    report.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own command
    try:
        document = RunDocument.model_validate_json(report.read_text("utf-8"))
    except (OSError, ValidationError):
        reason = done.stderr.strip() or f"exit code {done.returncode}"
        return PostRunVerdict(exit_code=ExitCode.INCONCLUSIVE, headline=f"the verifier could not run: {reason}")
    return PostRunVerdict(
        exit_code=ExitCode(document.exit_code),
        headline=document.headline,
        broken=tuple(f"{check.id} {check.title}" for check in document.checks if check.verdict is Verdict.VIOLATED),
        unknown=tuple(
            f"{check.id}: {check.reason}" for check in document.checks if check.verdict is Verdict.INCONCLUSIVE
        ),
        report=str(report),
    )


def _checks_of_stores(profile: Profile) -> list[str]:
    """The checks that apply to this profile and judge stores, not journals."""
    chosen = []
    for check in load_checks():
        try:
            proofs = check.proofs(profile)
        except (NotMapped, NotApplicable):
            continue
        if not any(isinstance(proof, Delivery) for proof in proofs) and check.id != OLD_CANARIES:
            chosen.append(check.id)
    return chosen
