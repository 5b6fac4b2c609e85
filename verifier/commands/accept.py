"""`accept`: let checks that came with an upgrade count in the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from verifier.checks.catalogue import load_checks
from verifier.engine.session import open_history
from verifier.model.verdict import ExitCode
from verifier.profile import ProfileError, load_profile
from verifier.render.console import make_console


def accept_checks(profile_path: Path, *, ids: Sequence[str], everything: bool, checks: Sequence[Path]) -> ExitCode:
    """Accept pending checks, or list them. Raises ProfileError for a check that does not exist."""
    profile = load_profile(profile_path)
    registry = load_checks(checks)
    known = [item.id for item in registry]
    console = make_console()
    with open_history(profile) as history:
        accepted = history.accepted()
        if ids or everything:
            if unknown := sorted(set(ids) - set(known)):
                raise ProfileError(f"there is no check {unknown[0]!r}; see: verifier list")
            new = history.accept(known if everything else ids)
            console.print(f"accepted: {', '.join(new)}" if new else "already accepted")
            return ExitCode.HOLDS
    pending = [name for name in known if name not in accepted]
    if not accepted:
        console.print("nothing is pending: the first run accepts every check")
    elif not pending:
        console.print("nothing is pending")
    else:
        for name in pending:
            console.print(f"pending: {name}  {registry[name].title}")
        console.print(f"accept with: verifier accept {' '.join(pending)}")
    return ExitCode.HOLDS
