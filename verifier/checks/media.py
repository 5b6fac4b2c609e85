"""Row "Media catalog": what the catalogue lists can be fetched."""

from __future__ import annotations

from collections.abc import Sequence

from verifier.check import NotApplicable, check
from verifier.model import Phase, Problem, Row, Severity
from verifier.profile.models import Profile
from verifier.proofs import Reconcile
from verifier.query import Rows

ROW = "Media catalog"


@check("MED-01", title="Catalogued media resolve", severity=Severity.MEDIUM, phase=Phase.CUTOVER, row=ROW)
def media_resolve(profile: Profile) -> Reconcile:
    """A picture that the catalogue lists but no server serves is lost evidence and a broken message."""
    profile.relation("media", "url")
    if not profile.media.allowed_hosts:
        raise NotApplicable("not granted: media.allowed_hosts names no host that may get a HEAD request")

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        state = partners[0]["state"] if partners else "host not allowed"
        if state in ("there", "host not allowed"):
            return None
        return Problem(
            summary=f"media {row['media_id']} does not resolve",
            expected="HTTP 200 to a HEAD request",
            actual=str(state),
            next_step="Restore the object, or mark the row as deleted.",
        )

    return Reconcile(
        subject=Rows("media", ("url",)),
        against=Rows("media.head"),
        on=("url", "url"),
        judge=judge,
        sample=profile.media.sample,
        unit="media files",
        statement="HEAD to allowed hosts only",
        unseen=("URLs inside OpenIM's messages that have no row", "media on other hosts"),
    )
