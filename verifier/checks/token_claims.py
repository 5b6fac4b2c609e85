"""What an imToken says of its user and platform, and whether the user is signed in there (TOK-01, TOK-02)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from verifier.model.invariant import Problem, Row
from verifier.model.platforms import ADMIN, PLATFORMS
from verifier.model.values import has_ended
from verifier.profile.policies import TokenPolicy


def claim_fault(claims: Row, header: Row, openim_user_ids: Sequence[str], policy: TokenPolicy) -> str:
    """What is wrong with the claims and the header of a token under the key of a user, or ""."""
    if not claims:
        return "the value is not a JWT"
    if claims.get("UserID") not in openim_user_ids:
        return f"UserID is {claims.get('UserID')!r}"
    platform = claims.get("PlatformID")
    if platform == ADMIN:
        return "it is an admin token (PlatformID 10)"
    if isinstance(platform, bool) or not isinstance(platform, int) or platform not in policy.known_platforms:
        return f"PlatformID is {platform!r}"
    if header.get("alg") != "HS256":
        return f"alg is {header.get('alg')!r}"
    return ""


def key_fault(platform: int, key_platform: object, policy: TokenPolicy) -> str:
    """What is wrong with a token of `platform` under a key that names one, or ""."""
    of_key = policy.platform_of(key_platform)
    return "" if of_key in (None, platform) else f"{named(platform)} under the key of {named(of_key)}"


def elsewhere(user: object, platform: int, partners: Sequence[Row], policy: TokenPolicy) -> Problem | None:
    """The problem of a token of a platform on which its user is not signed in. A user without any live session is reported by
    TOK-05. A session whose platform is not known may be on any."""
    now = datetime.now(UTC)
    # A session without an end is live here: it can only explain a token.
    live = [row for row in partners if "openim_user_id" not in row and not has_ended(row.get("expires_at"), now)]
    platforms = {policy.platform_of(row["platform"]) for row in live}
    if not platforms or None in platforms or platform in platforms:
        return None
    return Problem(
        summary=f"the imToken of {user} is of a platform on which the user has no live session",
        expected=f"a token of {' or '.join(sorted(named(item) for item in platforms))}",
        actual=f"a token of {named(platform)}",
        next_step="Replace the token by one of a platform with a live session, and call force_logout for the other one. When a session "
        "ends, pass the key on to a remaining platform or delete it. If sessions.platform holds other numbers or words than "
        "OpenIM's, list them under token.platforms.",
    )


def named(platform: int | None) -> str:
    """A platform by its number and OpenIM's name."""
    return f"platform {platform} ({PLATFORMS.get(platform or 0, 'declared')})"
