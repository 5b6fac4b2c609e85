"""Row "Media catalog": what the catalogue lists can be fetched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Reconcile, Rule

ROW = "Media catalog"
CRONTASK = "openim-crontask.yml"
DEFAULT_EXPIRY_DAYS = 180.0


@check("MED-01", title="Catalogued media resolve", severity=Severity.MEDIUM, phase=Phase.CUTOVER, row=ROW)
def media_resolve(profile: Profile) -> list[Reconcile]:
    """A picture that the catalogue lists but no server serves is lost evidence and a broken message; one that a message shows and the
    catalogue does not list is found by no moderator."""
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

    stored = profile.roles.openim_mongo is not None
    unlisted = () if stored else ("URLs inside OpenIM's messages that have no row",)
    resolves = Reconcile(
        subject=Rows("media", ("url",)),
        against=Rows("media.head"),
        on=("url", "url"),
        judge=judge,
        sample=profile.media.sample,
        unit="media files",
        statement="HEAD to allowed hosts only",
        unseen=(*unlisted, "media on other hosts"),
    )
    return [resolves, _listed(profile)] if stored else [resolves]


def _listed(profile: Profile) -> Reconcile:
    """What messages in OpenIM show from our hosts has a row of the catalogue."""
    hosts, others = profile.media.allowed_hosts, profile.media.openim_urls

    def ours(row: Row) -> bool:
        return urlsplit(row["bare"]).netloc in hosts and not (others and row["url"].startswith(others))

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners:
            return None
        return Problem(
            key=row["place"],
            summary=f"message {row['place']} shows a file of ours that the catalogue does not list",
            expected="a row with its URL",
            actual="none",
            next_step="Let the upload write its row before the message goes out; add the row, or delete the message.",
        )

    return Reconcile(
        subject=Rows("openim_mongo.msg_media"),
        against=Rows("media", ("url",)),
        on=("url", "url"),
        also=(("bare", Rows("media", ("url",)), "url"),),
        applies=ours,
        judge=judge,
        unit="URLs in OpenIM's messages",
        statement="those on media.allowed_hosts, with or without their query",
    )


@check(
    "MED-02",
    title="OpenIM deletes no media that the catalogue needs",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def media_outlive_openim(profile: Profile) -> Rule:
    """OpenIM's own bucket forgets pictures, files, voice and video by their age. A catalogue that points there loses what
    moderation and users believe to be kept."""
    profile.relation("media", "url", "created_at")
    homes = profile.media.openim_urls
    if not homes:
        raise NotApplicable("own bucket: media.openim_urls names no place in OpenIM's")
    days, told = _expiry(profile)
    before = datetime.now(UTC) - timedelta(days=days)

    def judge(row: Row) -> Problem | None:
        return Problem(
            summary=f"media {row['media_id']} lies in OpenIM's bucket and is older than OpenIM keeps files",
            expected=f"younger than {days:g} days ({told}), or in a bucket of ours",
            actual=f"from {row['created_at']:%Y-%m-%d}",
            next_step="Copy it to a bucket of ours and correct its URL, or mark the row as deleted; raise fileExpireTime before the next night.",
        )

    return Rule(
        subject=Rows("media", ("url", "created_at"), (Where("created_at", "<", before),)),
        applies=lambda row: str(row["url"]).startswith(homes),
        judge=judge,
        empty_holds=True,
        unit=f"media files in OpenIM's bucket from before {days:g} days ago",
        statement=f"OpenIM keeps files {days:g} days: {told}",
        unseen=("media types that OpenIM does not delete", "a deletion date that began later than the row"),
    )


def _expiry(profile: Profile) -> tuple[float, str]:
    """OpenIM's file life in days, and where that comes from."""
    if profile.media.file_expire_days is not None:
        return profile.media.file_expire_days, "media.file_expire_days"
    declared = profile.openim_config.declared(CRONTASK, "fileExpireTime")
    if isinstance(declared, int | float) and not isinstance(declared, bool) and declared > 0:
        return float(declared), f"openim_config, {CRONTASK}"
    return DEFAULT_EXPIRY_DAYS, "OpenIM's default"
