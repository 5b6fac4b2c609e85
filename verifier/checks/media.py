"""Row "Media catalog" [D10]: media can be fetched, are listed, and outlive OpenIM's bucket."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Reconcile, Rule

ROW = "Media catalog"
THERE, NOT_ALLOWED = "there", "host not allowed"
"""States of relation `media.head`. Others are a definite "not there"; without a definite answer there is no state."""
CRONTASK = "openim-crontask.yml"
DEFAULT_EXPIRY_DAYS = 180.0


@check(
    "MED-01",
    title="Media in the catalogue can be fetched, and media in messages are listed",
    severity=Severity.MEDIUM,
    phase=Phase.CUTOVER,
    row=ROW,
)
def media_resolve(profile: Profile) -> list[Reconcile]:
    """A picture that is in the catalogue but cannot be fetched is missing for moderation and in messages. A picture that is in a
    message but not in the catalogue cannot be found by moderators."""
    profile.relation("media", "url")
    if not profile.media.allowed_hosts:
        raise NotApplicable("not granted: media.allowed_hosts names no host that may receive HEAD requests")

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        state = partners[0]["state"] if partners else NOT_ALLOWED
        if state in (THERE, NOT_ALLOWED):
            return None
        return Problem(
            summary=f"media {row.get('media_id', row['url'])} cannot be fetched",
            expected="HTTP 200 to a HEAD request",
            actual=str(state),
            next_step="Restore the object, or mark the row as deleted.",
        )

    stored = profile.roles.openim_mongo is not None
    unlisted = () if stored else ("URLs in OpenIM's messages that the catalogue does not list",)
    resolves = Reconcile(
        subject=Rows("media", ("url",)),
        against=Rows("media.head"),
        on=("url", "url"),
        # A file on another host is not asked for, so it does not count as one that can be fetched.
        applies=lambda row: profile.media.allows(str(row["url"])),
        judge=judge,
        sample=profile.media.sample,
        unit="media files",
        statement="HEAD requests to allowed hosts only",
        unseen=(*unlisted, "media on other hosts"),
    )
    return [resolves, _listed(profile)] if stored else [resolves]


def _listed(profile: Profile) -> Reconcile:
    """Media of the allowed hosts in OpenIM's messages have a row in the catalogue."""
    others = profile.media.openim_urls

    def ours(row: Row) -> bool:
        return profile.media.allows(row["bare"]) and not (others and row["url"].startswith(others))

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        if partners:
            return None
        return Problem(
            key=row["place"],
            summary=f"message {row['place']} refers to a file that the catalogue does not list",
            expected="a row with this URL",
            actual="none",
            next_step="Add the row or delete the message, and let the upload write its row before the message is sent.",
        )

    return Reconcile(
        subject=Rows("openim_mongo.msg_media"),
        against=Rows("media", ("url",)),
        on=("url", "url"),
        also=(("bare", Rows("media", ("url",)), "url"),),
        applies=ours,
        judge=judge,
        unit="URLs in OpenIM's messages",
        statement="those on media.allowed_hosts, with or without their query string",
    )


@check(
    "MED-02",
    title="OpenIM does not delete media that the catalogue lists",
    severity=Severity.HIGH,
    phase=Phase.CUTOVER,
    row=ROW,
)
def media_outlive_openim(profile: Profile) -> Rule:
    """OpenIM deletes pictures, files, voice and video messages in its bucket by age [F127]. Catalogue entries that point there lose
    files that moderators and users expect to be kept."""
    profile.relation("media", "url", "created_at")
    homes = profile.media.openim_urls
    if not homes:
        raise NotApplicable("no media in OpenIM's bucket: media.openim_urls is empty")
    days, source = _expiry(profile)
    before = datetime.now(UTC) - timedelta(days=days)

    def judge(row: Row) -> Problem | None:
        return Problem(
            summary=f"media {row.get('media_id', row['url'])} is in OpenIM's bucket and older than OpenIM keeps files",
            expected=f"younger than {days:g} days ({source}), or in a bucket of the platform",
            actual=f"from {row['created_at']:%Y-%m-%d}",
            next_step="Copy it to a bucket of the platform and correct its URL, or mark the row as deleted. Raise fileExpireTime before the next nightly job.",
        )

    return Rule(
        subject=Rows("media", ("url", "created_at"), (Where("created_at", "<", before),)),
        applies=lambda row: str(row["url"]).startswith(homes),
        judge=judge,
        empty_holds=True,
        unit=f"media files in OpenIM's bucket from before {days:g} days ago",
        statement=f"OpenIM keeps files for {days:g} days: {source}",
        unseen=("media types that OpenIM does not delete", "a file that was stored later than its row"),
    )


def _expiry(profile: Profile) -> tuple[float, str]:
    """How many days OpenIM keeps files, and the setting that says so."""
    if profile.media.file_expire_days is not None:
        return profile.media.file_expire_days, "media.file_expire_days"
    declared = profile.openim_config.declared(CRONTASK, "fileExpireTime")
    if isinstance(declared, int | float) and not isinstance(declared, bool) and declared > 0:
        return float(declared), f"openim_config, {CRONTASK}"
    return DEFAULT_EXPIRY_DAYS, "OpenIM's default"
