"""Row "imToken — Redis only": one token per user, whole, limited in time, and nowhere else."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from verifier.checks.registry import NotApplicable, check
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows, Where
from verifier.profile.models import Profile
from verifier.proofs import Reconcile, Rule
from verifier.proofs.reconcile import must_exist
from verifier.stores.openim.codes import TOKEN_CODES
from verifier.stores.redis.values import token_part

ROW = "imToken"
ADMIN_PLATFORM = 10
JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}")


@check(
    "TOK-01",
    title="Each user with a live session has an imToken",
    severity=Severity.HIGH,
    phase=Phase.REGISTERED,
    row=ROW,
)
def live_session_has_token(profile: Profile) -> Reconcile:
    """The gateway injects the token; without it a signed-in user cannot chat."""
    since = profile.since_phase(Phase.REGISTERED)
    where = (Where("created_at", ">=", since),) if since and profile.has("sessions", "created_at") else ()
    return Reconcile(
        subject=Rows("sessions", ("user_id", "expires_at"), (*where, Where("expires_at", ">", datetime.now(UTC)))),
        against=Rows("im_tokens", (profile.token_key_column,)),
        on=("user_id", profile.token_key_column),
        convert=profile.identity.to_openim if profile.token.key_id == "openim" else str,
        unit="live sessions",
        judge=must_exist(
            "user {user_id} has a live session but no imToken in Redis",
            expected="a token key for {user_id}",
            next_step="Let the gateway fetch the token again; look for an eviction policy or a flush of that Redis.",
        ),
    )


@check(
    "TOK-02",
    title="Each imToken belongs to the user of its key",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def claims_match(profile: Profile) -> Reconcile:
    """A token of somebody else under a user's key lets that user read and write as the other."""
    column = profile.token_key_column
    by_openim_id = profile.token.key_id == "openim"

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        claims, header = token_part(row["token"], "claim"), token_part(row["token"], "header")
        wrong = _claim_fault(claims, header, str(partners[0]["openim_user_id"])) if partners else ""
        if not wrong:
            return None
        return Problem(
            summary=f"the imToken under the key of {row[column]} is not a user token of that user",
            expected="UserID = the user's OpenIM id, PlatformID 1 to 9, alg HS256",
            actual=wrong,
            next_step="Delete the key, let the user log in again, and find out who wrote it. Treat it as an impersonation until then.",
        )

    return Reconcile(
        subject=Rows("im_tokens", (column, "token")),
        against=Rows("users", ("user_id", "openim_user_id")),
        on=(column, "openim_user_id" if by_openim_id else "user_id"),
        judge=judge,
        unit="tokens",
        statement="claims read without the secret",
    )


def _claim_fault(claims: Row, header: Row, openim_user_id: str) -> str:
    if not claims:
        return "the value is not a JWT"
    if claims.get("UserID") != openim_user_id:
        return f"UserID is {claims.get('UserID')!r}"
    platform = claims.get("PlatformID")
    if platform == 10:
        return "it is an admin token (PlatformID 10)"
    if not isinstance(platform, int) or not 1 <= platform <= 9:
        return f"PlatformID is {platform!r}"
    if header.get("alg") != "HS256":
        return f"alg is {header.get('alg')!r}"
    return ""


@check("TOK-03", title="No imToken key outlives its token", severity=Severity.HIGH, phase=Phase.REGISTERED, row=ROW)
def ttl_bounded(profile: Profile) -> Rule:
    """A key without TTL, or with one beyond the token's expiry, serves a dead token and never cleans itself up."""
    skew_s = profile.timing.clock_skew_max_s

    def judge(row: Row) -> Problem | None:
        expiry = token_part(row["token"], "claim").get("exp")
        if not isinstance(expiry, int | float):
            return None  # not a token at all: TOK-02 says so
        left_s = expiry - time.time()
        if row["ttl_ms"] is not None and row["ttl_ms"] / 1000 <= left_s + skew_s:
            return None
        return Problem(
            summary=f"the imToken key of {row[profile.token_key_column]} {'has no TTL' if row['ttl_ms'] is None else 'outlives its token'}",
            expected=f"a TTL of at most {max(left_s, 0):.0f} s",
            actual="none" if row["ttl_ms"] is None else f"{row['ttl_ms'] / 1000:.0f} s",
            next_step="Set the key with an expiry derived from the token's exp.",
        )

    return Rule(subject=Rows("im_tokens", (profile.token_key_column, "token", "ttl_ms")), judge=judge, unit="tokens")


@check("TOK-04", title="OpenIM accepts the imTokens", severity=Severity.CRITICAL, phase=Phase.REGISTERED, row=ROW)
def accepted(profile: Profile) -> Reconcile:
    """A token that OpenIM has kicked or forgotten locks its user out of chat, and nothing of ours shows it."""
    column = profile.token_key_column

    def judge(row: Row, partners: Sequence[Row]) -> Problem | None:
        dead = next((item["state"] for item in partners if item["state"]), 0)
        if not dead:
            return None
        return Problem(
            summary=f"the imToken of {row[column]} is {TOKEN_CODES.get(dead, 'refused')}",
            expected="a token that OpenIM accepts",
            actual=f"errCode {dead} from parse_token, twice",
            next_step="Let the gateway fetch a new one (log in again); many at once point at a lost token store, or at two "
            "services that ask for tokens of the same user and platform.",
        )

    return Reconcile(
        subject=Rows("im_tokens", (column, "token")),
        against=Rows("openim.tokens"),
        on=("token", "token"),
        # What is no token at all is TOK-02's matter, and nothing to send to OpenIM.
        convert=lambda value: value if JWT.fullmatch(str(value)) else None,
        judge=judge,
        sample=profile.timing.token_sample,
        second_look_s=profile.timing.openim_cache_s,
        unit="imTokens",
        statement="asked of OpenIM, which may answer from a cache of 300 s",
    )


@check(
    "TOK-08",
    title="No admin token among the users', and no default secret",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def no_master_key(profile: Profile) -> list[Rule]:
    """Whoever holds an admin token, or the secret that everybody knows, is everybody."""
    column = profile.token_key_column
    role = profile.roles.openim
    admins = {name for name in (role.admin_user_id if role else None, "imAdmin") if name}

    def admin_token(row: Row) -> Problem | None:
        claims = token_part(row["token"], "claim")
        if claims.get("PlatformID") != ADMIN_PLATFORM and claims.get("UserID") not in admins:
            return None
        return Problem(
            summary=f"an admin token lies under the imToken key of {row[column]}",
            expected="tokens of users alone",
            actual="PlatformID 10" if claims.get("PlatformID") == ADMIN_PLATFORM else "UserID of an administrator",
            next_step="Delete the key, ask for a new admin token (the old one dies in 300 s), and find out who wrote it.",
        )

    def default_secret(row: Row) -> Problem | None:
        if not row["is_default"]:
            return None
        return Problem(
            key=str(row["setting"]),
            summary="OpenIM's secret is the one that it ships with",
            expected="a secret of your own",
            actual="the default",
            next_step="Change share.secret in OpenIM's configuration and everywhere that asks for tokens.",
        )

    proofs = [
        Rule(subject=Rows("im_tokens", (column, "token")), judge=admin_token, unit="imTokens"),
        Rule(
            subject=Rows("verifier.settings"),
            judge=default_secret,
            unit="declared secrets",
            statement="known from the profile, never tried at OpenIM",
        ),
    ]
    return proofs if role is not None else proofs[:1]


@check(
    "TOK-05", title="No orphaned or misspelt imToken keys", severity=Severity.MEDIUM, phase=Phase.REGISTERED, row=ROW
)
def no_orphans(profile: Profile) -> list[Reconcile | Rule]:
    """A token without a live session is a credential that nobody logs out; another spelling is a second home."""
    column = profile.token_key_column
    orphans = Reconcile(
        subject=Rows("im_tokens", (column,)),
        against=Rows("sessions", ("user_id",), (Where("expires_at", ">", datetime.now(UTC)),)),
        on=(column, "user_id"),
        convert=(lambda value: profile.identity.from_openim(str(value))) if profile.token.key_id == "openim" else str,
        unit="tokens",
        judge=must_exist(
            f"the imToken key of {{{column}}} belongs to nobody with a live session",
            expected="a live session",
            next_step="Delete the token at logout, ban and expiry of the last session.",
        ),
    )
    if not profile.has("im_token_misspellings"):
        return [orphans]

    declared = (profile.relation("im_tokens").keys or "").partition("{")[0]

    def misspelt(row: Row) -> Problem:
        return Problem(
            summary=f"the key {row['key']} looks like an imToken under another spelling",
            expected="tokens under the declared key pattern only",
            actual=str(row["key"]),
            next_step="Remove it and correct the writer.",
        )

    spelling = Rule(
        subject=Rows("im_token_misspellings", ("key",)),
        applies=lambda row: _resembles(str(row["key"]), declared) and not profile.is_im_token_key(str(row["key"])),
        judge=misspelt,
        unit="keys of other spellings",
        empty_holds=True,
        unseen=("spellings that the pattern of im_token_misspellings does not reach",),
    )
    return [orphans, spelling]


def _resembles(key: str, prefix: str) -> bool:
    """Whether a key starts like the declared prefix, were it not for case and separators."""

    def bare(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower())

    return bare(key).startswith(bare(prefix))


@check("TOK-06", title="imTokens are nowhere but in Redis", severity=Severity.CRITICAL, phase=Phase.REGISTERED, row=ROW)
def redis_only(profile: Profile) -> list[Rule]:
    """A token in a table or a document is a credential in every backup and every dump."""
    searched = [(name, relation) for name, relation in profile.relations.items() if relation.searched_for_tokens]
    if not searched:
        raise NotApplicable("no relation of the profile sets searched_for_tokens")

    def rule(name: str, columns: tuple[str, ...]) -> Rule:
        def judge(row: Row) -> Problem | None:
            holding = [column for column in columns if _holds_im_token(row[column])]
            if not holding:
                return None
            return Problem(
                summary=f"{holding[0]} of a record of {name} holds an imToken",
                expected="imTokens in Redis alone",
                actual=f"a JWT with UserID and PlatformID in {holding[0]}",
                next_step="Remove it, force a logout of that user in OpenIM, and stop the writer.",
            )

        return Rule(
            subject=Rows(name, columns), judge=judge, unit=f"records of {name}", unseen=("columns that are not mapped",)
        )

    return [
        rule(name, tuple(column for column in relation.columns if column not in relation.key))
        for name, relation in searched
    ]


def _holds_im_token(value: object) -> bool:
    claims = (
        token_part(found.group(), "claim")
        for found in JWT.finditer(value if isinstance(value, str) else str(value or ""))
    )
    return any("UserID" in item and "PlatformID" in item for item in claims)
