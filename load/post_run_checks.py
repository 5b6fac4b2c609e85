"""After the load: has anything leaked, under stress, into the stores that should be silent? The verifier says.

It runs as it does at night, with the profile's own history: what it remembers of the last night covers the load, too. It judges what is
told from the stores; the canary's flights are another journal, which a load neither makes nor spoils.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from verifier.checks.catalogue import load_checks
from verifier.checks.registry import NotApplicable
from verifier.model.verdict import ExitCode, Verdict
from verifier.profile import NotMapped, Profile, ProfileError, load_profile
from verifier.proofs import Delivery
from verifier.render.json import RunDocument

_SHOWN = 10
OLD_CANARIES = "MSG-05"
"""It reads canaries' older journals from disk."""
_COMMAND = (sys.executable, "-c", "from verifier.commands.cli import main; main()", "run", "--quiet")


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What the verifier said. `broken`: the invariants that do not hold, with their titles; `unknown`: those not judged, and why."""

    exit_code: ExitCode
    headline: str
    broken: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    report: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the account of the run."""
        return {**asdict(self), "exit_code": int(self.exit_code)}

    def lines(self) -> list[str]:
        """For a terminal."""
        shown = [f"    violated: {name}" for name in self.broken] + [f"    not known: {name}" for name in self.unknown]
        more = [f"    and {len(shown) - _SHOWN} more ({self.report})"] if len(shown) > _SHOWN else []
        return [f"  the stack after the load: {self.headline}", *shown[:_SHOWN], *more]


def verify(profile: str, report: Path) -> Aftermath:
    """Run the verifier; its JSON goes to `report`. Never raises: what keeps it from judging is inconclusive, and said."""
    try:
        chosen = _told_from_the_stores(load_profile(Path(profile)))
    except ProfileError as error:
        return Aftermath(exit_code=ExitCode.INCONCLUSIVE, headline=f"the verifier could not run: {error}")
    command = [*_COMMAND, "--profile", profile, "--json", str(report)]
    command += [part for name in chosen for part in ("--only", name)]
    report.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own command
    try:
        document = RunDocument.model_validate_json(report.read_text("utf-8"))
    except (OSError, ValidationError):
        said = done.stderr.strip() or f"exit code {done.returncode}"
        return Aftermath(exit_code=ExitCode.INCONCLUSIVE, headline=f"the verifier could not run: {said}")
    return Aftermath(
        exit_code=ExitCode(document.exit_code),
        headline=document.headline,
        broken=tuple(f"{check.id} {check.title}" for check in document.checks if check.verdict is Verdict.VIOLATED),
        unknown=tuple(
            f"{check.id}: {check.reason}" for check in document.checks if check.verdict is Verdict.INCONCLUSIVE
        ),
        report=str(report),
    )


def _told_from_the_stores(profile: Profile) -> list[str]:
    chosen = []
    for check in load_checks():
        try:
            proofs = check.proofs(profile)
        except (NotMapped, NotApplicable):
            continue
        if not any(isinstance(proof, Delivery) for proof in proofs) and check.id != OLD_CANARIES:
            chosen.append(check.id)
    return chosen
