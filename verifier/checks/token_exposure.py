"""Row "imToken" [D8]: a token is stored only in Redis, is not an administrator's, and is never shown to a client."""

from __future__ import annotations

from verifier.checks.registry import check
from verifier.checks.tokens import JWT, ROW
from verifier.judges.gateway import judge_gateway
from verifier.model.invariant import Phase, Problem, Row, Severity
from verifier.model.query import Rows
from verifier.profile.errors import NotMapped
from verifier.profile.models import Profile
from verifier.proofs import Delivery, Rule
from verifier.stores.redis.values import token_part

ADMIN_PLATFORM = 10


@check("TOK-06", title="imTokens are stored only in Redis", severity=Severity.CRITICAL, phase=Phase.REGISTERED, row=ROW)
def redis_only(profile: Profile) -> list[Rule]:
    """A token in a table or document is a credential in every backup and dump."""
    searched = [(name, relation) for name, relation in profile.relations.items() if relation.searched_for_tokens]
    if not searched:
        raise NotMapped("searched_for_tokens")

    def rule(name: str, columns: tuple[str, ...]) -> Rule:
        def judge(row: Row) -> Problem | None:
            holding = [column for column in columns if _holds_im_token(row[column])]
            if not holding:
                return None
            return Problem(
                summary=f"{holding[0]} of a record of {name} contains an imToken",
                expected="imTokens only in Redis",
                actual=f"a JWT with UserID and PlatformID in {holding[0]}",
                next_step="Delete the token, force a logout of the user in OpenIM, and stop the service that wrote it.",
            )

        return Rule(
            subject=Rows(name, columns),
            judge=judge,
            unit=f"records of {name}",
            any_values=True,
            unseen=("columns that are not mapped",),
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


@check(
    "TOK-08",
    title="No administrator token is among the imTokens, and OpenIM's secret is not the default",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def no_master_key(profile: Profile) -> list[Rule]:
    """An administrator token gives access to all users. So does the default secret, which is public, because it signs tokens."""
    column = profile.token_key_column
    role = profile.roles.openim
    admins = {name for name in (role.admin_user_id if role else None, "imAdmin") if name}

    def admin_token(row: Row) -> Problem | None:
        claims = token_part(row["token"], "claim")
        if claims.get("PlatformID") != ADMIN_PLATFORM and claims.get("UserID") not in admins:
            return None
        return Problem(
            summary=f"the imToken key of {row[column]} contains an administrator token",
            expected="only tokens of users",
            actual="PlatformID 10" if claims.get("PlatformID") == ADMIN_PLATFORM else "UserID of an administrator",
            next_step="Delete the key, request a new administrator token (the old one then expires within 300 s), and find out what wrote the key.",
        )

    def default_secret(row: Row) -> Problem | None:
        if not row["is_default"]:
            return None
        return Problem(
            key=str(row["setting"]),
            summary="OpenIM's secret is its default",
            expected="a secret of your own",
            actual="the default",
            next_step="Change share.secret in OpenIM's configuration and in every service that requests tokens.",
        )

    proofs = [
        Rule(subject=Rows("im_tokens", (column, "token")), judge=admin_token, unit="imTokens"),
        Rule(
            subject=Rows("verifier.settings"),
            judge=default_secret,
            unit="declared secrets",
            statement="known from the profile; OpenIM was not asked",
        ),
    ]
    return proofs if role is not None else proofs[:1]


@check(
    "GW-01",
    title="The gateway injects the imToken and never shows it to a client",
    severity=Severity.CRITICAL,
    phase=Phase.REGISTERED,
    row=ROW,
)
def gateway_injects(profile: Profile) -> Delivery:
    """A client has a session and never sees a token, because the platform cannot take back a token that it has shown. With the
    session alone, a client must be able to call OpenIM and to connect to its WebSocket, and only as its own user."""
    return Delivery(judge=lambda operations: judge_gateway(operations, delivery=profile.token.delivery))
