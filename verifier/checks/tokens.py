"""Row "imToken" [D8]: each live session has a token, which is valid, belongs to its user and expires in time."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from verifier.checks.identity import by_openim_id
from verifier.checks.registry import check
from verifier.checks.token_claims import claim_fault, elsewhere, key_fault, named
from verifier.judges.devices import judge_two_platforms
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Delivery, Reconcile, Rule
from verifier.proofs.reconcile import must_exist
from verifier.stores.openim.codes import TOKEN_CODES
from verifier.stores.redis.values import token_part

ROW = "imToken"
JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}")


@check(
    "TOK-01",
    title="Each user with a live session has an imToken",
    severity=Severity.HIGH,
    phase=Phase.REGISTERED,
    row=ROW,
)
def live_session_has_token(profile: Profile) -> Reconcile:
    """The gateway adds the token to requests to OpenIM. A signed-in user without a token cannot chat."""
    since = profile.since_phase(Phase.REGISTERED)
    where = (Where("created_at", ">=", since),) if since and profile.has("sessions", "created_at") else ()
    policy = profile.token
    mapped = profile.has("sessions", "platform") and profile.has("im_tokens", "platform")
    each = ("platform",) if policy.per == "platform" and mapped else ()
    missing = must_exist(
        "user {user_id} has a live session but no imToken in Redis",
        expected="a token key for {user_id}",
        next_step="Let the gateway fetch the token again. Check whether this Redis evicts keys or was flushed.",
    )

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        tokens = [item for item in partners if not _is_user(item)]
        if not tokens or not each:
            return missing(row, tokens)
        wanted, there = policy.platform_of(row["platform"]), {policy.platform_of(item["platform"]) for item in tokens}
        if wanted is None or None in there or wanted in there:
            return None
        return Problem(
            summary=f"user {row['user_id']} has a live session on {named(wanted)} but no imToken of it in Redis",
            expected="a token key for each platform with a live session (token.per = 'platform')",
            actual=f"keys of {' and '.join(sorted(named(item) for item in there))}",
            next_step="Let the gateway fetch the token again. Check whether this Redis evicts keys or was flushed.",
        )

    sessions = Reconcile(
        subject=Rows(
            "sessions", ("user_id", "expires_at", *each), (*where, Where("expires_at", ">", datetime.now(UTC)))
        ),
        against=Rows("im_tokens", (profile.token_key_column, *each)),
        on=("user_id", profile.token_key_column),
        convert=profile.identity.to_openim if policy.key_id == "openim" else str,
        unit="live sessions",
        judge=judge,
    )
    return by_openim_id(profile, sessions) if policy.key_id == "openim" else sessions


def _is_user(row: Row) -> bool:
    """Whether a partner is a row of `users`, which leads from one id to the other."""
    return "user_id" in row and "openim_user_id" in row


@check(
    "TOK-02",
    title="Each imToken belongs to the user of its key, on a platform on which that user is signed in",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def claims_match(profile: Profile) -> Reconcile:
    """If the key of one user contains the token of another, the first user reads and writes as the second. A token of a platform
    on which its user has no session survives every logout: nobody ends what nobody is signed in to."""
    column, policy = profile.token_key_column, profile.token
    signed_in = _sessions_by_platform(profile)
    own_platform = policy.per == "platform" and profile.has("im_tokens", "platform")

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        users = [item for item in partners if "openim_user_id" in item]
        if not users:
            return None  # TOK-05 reports it
        claims, header = token_part(row["token"], "claim"), token_part(row["token"], "header")
        wrong = claim_fault(claims, header, [str(item["openim_user_id"]) for item in users], policy)
        if wrong:
            return Problem(
                summary=f"the imToken under the key of {row[column]} does not belong to that user",
                expected="UserID = the user's OpenIM id, PlatformID of a user's device, alg HS256",
                actual=wrong,
                next_step="Delete the key, let the user log in again, and find out what wrote it. Until then, treat it as an impersonation.",
            )
        if own_platform and (wrong := key_fault(claims["PlatformID"], row["platform"], policy)):
            return Problem(
                summary=f"the imToken under a key of {row[column]} is one of another platform than the key's",
                expected="PlatformID = the platform in the key",
                actual=wrong,
                next_step="Delete the key, let the user log in again on that platform, and find out what wrote it.",
            )
        return elsewhere(row[column], claims["PlatformID"], partners, policy) if signed_in else None

    unseen = ["a token of a platform on which its user has no session: sessions.platform is not mapped"]
    if policy.per == "platform" and not own_platform:
        unseen.append("a token under the key of another platform: im_tokens.platform is not mapped")
    return Reconcile(
        subject=Rows("im_tokens", (column, "token", *(("platform",) if own_platform else ()))),
        against=Rows("users", ("user_id", "openim_user_id")),
        on=(column, "openim_user_id" if policy.key_id == "openim" else "user_id"),
        then=(("user_id", signed_in, "user_id"),) if signed_in else (),
        judge=judge,
        unit="tokens",
        statement="claims read without the secret",
        unseen=tuple(unseen[1:] if signed_in else unseen),
    )


def _sessions_by_platform(profile: Profile) -> Rows | None:
    """The sessions with their platform; None if the profile does not map it."""
    if not profile.has("sessions", "user_id", "platform"):
        return None
    ends = ("expires_at",) if profile.has("sessions", "expires_at") else ()
    return Rows("sessions", ("user_id", "platform", *ends))


@check("TOK-03", title="No imToken key outlives its token", severity=Severity.HIGH, phase=Phase.REGISTERED, row=ROW)
def ttl_bounded(profile: Profile) -> Rule:
    """A key without a TTL, or with a TTL beyond the token's expiry, provides an expired token."""
    skew_s = profile.timing.clock_skew_max_s

    def judge(row: Row) -> Problem | None:
        expiry = token_part(row["token"], "claim").get("exp")
        if not isinstance(expiry, int | float):
            return None  # not a token; TOK-02 reports it
        left_s = expiry - time.time()
        if row["ttl_ms"] is not None and row["ttl_ms"] / 1000 <= left_s + skew_s:
            return None
        return Problem(
            summary=f"the imToken key of {row[profile.token_key_column]} {'has no TTL' if row['ttl_ms'] is None else 'outlives its token'}",
            expected=f"a TTL of at most {max(left_s, 0):.0f} s",
            actual="none" if row["ttl_ms"] is None else f"{row['ttl_ms'] / 1000:.0f} s",
            next_step="Write the key with an expiry that is derived from the token's exp.",
        )

    return Rule(subject=Rows("im_tokens", (profile.token_key_column, "token", "ttl_ms")), judge=judge, unit="tokens")


@check("TOK-04", title="OpenIM accepts the imTokens", severity=Severity.CRITICAL, phase=Phase.REGISTERED, row=ROW)
def accepted(profile: Profile) -> Reconcile:
    """A token that OpenIM has kicked or no longer knows locks its user out of chat [F22], and the platform's own data does not show it."""
    column = profile.token_key_column

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        code = next((item["state"] for item in partners if item["state"]), 0)
        if not code:
            return None
        return Problem(
            summary=f"the imToken of {row[column]} is {TOKEN_CODES.get(code, 'refused')}",
            expected="a token that OpenIM accepts",
            actual=f"errCode {code} from parse_token, twice",
            next_step="Let the user log in again, so that the gateway fetches a new token. If there are many, OpenIM may have lost its "
            "token store, or two services request tokens for the same user and platform.",
        )

    return Reconcile(
        subject=Rows("im_tokens", (column, "token")),
        against=Rows("openim.tokens"),
        on=("token", "token"),
        # Only tokens are sent to OpenIM. TOK-02 reports values that are not tokens.
        convert=lambda value: value if JWT.fullmatch(str(value)) else None,
        judge=judge,
        sample=profile.timing.token_sample,
        second_pass_s=profile.timing.openim_cache_s,
        unit="imTokens",
        statement="OpenIM was asked; it may answer from a cache for up to 300 s",
    )


@check(
    "TOK-05",
    title="There are no orphaned or misspelt imToken keys",
    severity=Severity.MEDIUM,
    phase=Phase.REGISTERED,
    row=ROW,
)
def no_orphans(profile: Profile) -> list[Reconcile | Rule]:
    """A token without a live session is a credential that no logout deletes. A key under another spelling is a second home of the token."""
    column = profile.token_key_column
    by_openim, live = profile.token.key_id == "openim", (Where("expires_at", ">", datetime.now(UTC)),)
    orphan = must_exist(
        f"the imToken key of {{{column}}} belongs to a user without a live session",
        expected="a live session",
        next_step="Delete the token when the last session ends by logout, ban or expiry.",
    )
    orphans = Reconcile(
        subject=Rows("im_tokens", (column,)),
        against=Rows("sessions", ("user_id",), live),
        on=(column, "user_id"),
        convert=(lambda value: profile.identity.from_openim(str(value))) if by_openim else str,
        unit="tokens",
        judge=lambda row, partners: orphan(row, [item for item in partners if not _is_user(item)]),
    )
    if by_openim and profile.identity.kind == "column":
        orphans = replace(
            orphans,
            against=Rows("users", ("user_id", "openim_user_id")),
            on=(column, "openim_user_id"),
            convert=str,
            then=(("user_id", orphans.against, "user_id"),),
        )
    if not profile.has("im_token_misspellings"):
        return [orphans]

    declared = [place.keys or "" for place in profile.relation("im_tokens").places]

    def misspelt(row: Row) -> Problem:
        return Problem(
            summary=f"the key {row['key']} resembles an imToken key under another spelling",
            expected="tokens only under the declared key pattern",
            actual=str(row["key"]),
            next_step="Delete the key and correct the service that writes it.",
        )

    spelling = Rule(
        subject=Rows("im_token_misspellings", ("key",)),
        applies=lambda row: (
            any(_resembles(str(row["key"]), pattern) for pattern in declared)
            and not profile.is_im_token_key(str(row["key"]))
        ),
        judge=misspelt,
        unit="keys of other spellings",
        empty_holds=True,
        unseen=("spellings that the pattern of im_token_misspellings does not match",),
    )
    return [orphans, spelling]


def _resembles(key: str, pattern: str) -> bool:
    """Whether a key begins, or ends, as the keys of a pattern do if case and separators are ignored."""

    def bare(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower())

    begin, end = bare(pattern.partition("{")[0]), bare(pattern.rpartition("}")[2])
    return bare(key).startswith(begin) if begin else bool(end) and bare(key).endswith(end)


@check(
    "TOK-07",
    title="A login on a second platform does not end the first one",
    severity=Severity.HIGH,
    phase=Phase.REGISTERED,
    row=ROW,
)
def second_device(profile: Profile) -> Delivery:
    """OpenIM's multi-login policy decides which tokens a login ends [F24], and with one imToken per user each login replaces the
    token. If the two settings do not fit together, a login on a tablet ends the session on the phone."""
    policy = profile.token.second_device
    return Delivery(judge=lambda operations: judge_two_platforms(operations, second_device=policy))
