"""TOK-02 on stacks with other ids, keys and words for platforms."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from tests.verifier.checks.memory import found, judge, profile_of, verdicts
from verifier.model.verdict import Verdict
from verifier.profile import Profile

pytestmark = pytest.mark.anyio

SOON = datetime.now(UTC) + timedelta(days=1)
PAST = datetime.now(UTC) - timedelta(days=1)
SECRET = "not the secret of any server, but long enough for this algorithm"  # noqa: S105 - of no server


def token(user_id: str, platform: Any) -> str:
    """A token as OpenIM issues it."""
    return jwt.encode({"UserID": user_id, "PlatformID": platform, "exp": int(time.time()) + 3_600}, SECRET, "HS256")


def stack(text: str = "", *, key: str = "user_id", more: str = "", sessions: str = "platform expires_at") -> Profile:
    """A profile with tokens, users and sessions."""
    return profile_of(
        text,
        users="user_db/table/people.accounts: user_id openim_user_id",
        sessions=f"chat_mongo/collection/logins: session_id user_id {sessions}",
        im_tokens=f"cache_redis/keys/imtok/{{id}}: {key} token {more}",
    )


def session(user_id: Any, platform: Any, expires_at: Any = SOON) -> dict[str, Any]:
    """A session."""
    return {"session_id": f"s{user_id}{platform}", "user_id": user_id, "platform": platform, "expires_at": expires_at}


USERS = [{"user_id": 7, "openim_user_id": "u7"}]


@pytest.mark.parametrize("live", [2, "2", "Android", "android", "robot"])
@pytest.mark.parametrize(("platform", "breach"), [(2, False), (5, True)])
async def test_a_token_is_of_a_platform_with_a_live_session(live: Any, platform: int, breach: bool) -> None:
    """The platform may be stored as a number, by OpenIM's name or in the stack's own word."""
    profile = stack("[token]\nplatforms = { Robot = 2 }")
    tokens = [{"user_id": "7", "token": token("u7", platform)}]
    judged = await judge("TOK-02", profile, im_tokens=tokens, users=USERS, sessions=[session(7, live)])
    assert verdicts(judged) == [Verdict.VIOLATED if breach else Verdict.HOLDS]
    if breach:
        assert judged[0].findings[0].expected == "a token of platform 2 (Android)"


@pytest.mark.parametrize(
    "sessions",
    [
        [session(7, 2), session(7, None)],
        [session(7, 2), session(7, "gadget")],
        [session(7, 2, PAST)],
        [session(7, 2), session(7, 5)],
        [session(7, 2), session(7, 5, None)],
        [session(8, 2)],
    ],
    ids=["not-known", "no-platform", "ended", "both", "never-ends", "somebody-elses"],
)
async def test_a_session_that_may_explain_a_token_is_no_breach(sessions: list[dict[str, Any]]) -> None:
    """A platform that is not known may be any; a user without a live session is reported by TOK-05."""
    tokens = [{"user_id": "7", "token": token("u7", 5)}]
    judged = await judge("TOK-02", stack(), im_tokens=tokens, users=USERS, sessions=sessions)
    assert verdicts(judged) == [Verdict.HOLDS]


@pytest.mark.parametrize(
    ("platform", "declared", "legal"),
    [(11, "", True), (12, "", False), (12, "12", True), (0, "", False), (True, "", False)],
)
async def test_platforms_of_the_protocol_are_legal(platform: Any, declared: str, legal: bool) -> None:
    """HarmonyOS is one; further ones are declared. Without sessions.platform the coverage says what is not seen."""
    profile = stack(f"[token]\nfurther_platforms = [{declared}]", sessions="expires_at")
    tokens = [{"user_id": "7", "token": token("u7", platform)}]
    (judged,) = await judge("TOK-02", profile, im_tokens=tokens, users=USERS)
    assert judged.verdict is (Verdict.HOLDS if legal else Verdict.VIOLATED)
    assert "sessions.platform is not mapped" in judged.coverage[0].unseen[0]


@pytest.mark.parametrize("platform", [2, 5])
async def test_keys_by_openim_id_lead_to_sessions_through_users(platform: int) -> None:
    """Where only the platform's table maps the two ids, the user of the key is looked up there first."""
    profile = stack('[identity]\nkind = "column"\n[token]\nkey_id = "openim"', key="openim_user_id")
    tokens = [{"openim_user_id": "u7", "token": token("u7", platform)}]
    judged = await judge("TOK-02", profile, im_tokens=tokens, users=USERS, sessions=[session(7, 2)])
    assert verdicts(judged) == [Verdict.HOLDS if platform == 2 else Verdict.VIOLATED]


@pytest.mark.parametrize(("of_key", "breach"), [("web", False), ("5", False), ("ios", True), (None, False)])
async def test_with_a_token_per_platform_the_key_names_its_platform(of_key: Any, breach: bool) -> None:
    """A token under the key of another platform is a breach although the user is live on both."""
    profile = stack('[token]\nper = "platform"', more="platform")
    tokens = [{"user_id": "7", "token": token("u7", 5), "platform": of_key}]
    judged = await judge("TOK-02", profile, im_tokens=tokens, users=USERS, sessions=[session(7, 1), session(7, 5)])
    assert bool(found(judged)) == breach
    if breach:
        assert "another platform than the key's" in found(judged)[0]


@pytest.mark.parametrize("claims", [[], {}, ["u7"]])
async def test_claims_of_any_type_are_compared(claims: Any) -> None:
    """A claim that is no text is no user's id, and no crash."""
    tokens = [{"user_id": "7", "token": token(claims, 2)}]
    judged = await judge("TOK-02", stack(), im_tokens=tokens, users=USERS, sessions=[session(7, 2)])
    assert verdicts(judged) == [Verdict.VIOLATED]


async def test_with_a_token_per_platform_each_live_platform_needs_one() -> None:
    """TOK-01: a user with a token of the web only cannot chat on the phone; words and unknown platforms are as in TOK-02."""
    profile = stack('[token]\nper = "platform"', more="platform")
    sessions = [session(7, "Web"), session(7, "ios"), session(8, 5), session(9, None)]
    tokens = [{"user_id": str(user), "token": "t", "platform": "5"} for user in (7, 9)]
    judged = await judge("TOK-01", profile, sessions=sessions, im_tokens=tokens)
    assert found(judged) == [
        "user 7 has a live session on platform 1 (iOS) but no imToken of it in Redis",
        "user 8 has a live session but no imToken in Redis",
    ]


async def test_misspellings_are_told_by_the_text_of_the_pattern() -> None:
    """TOK-05: where the user comes first in the key, the text that follows decides; other keys are not tokens."""
    relations = {
        "sessions": "user_db/table/logins: session_id user_id expires_at",
        "im_tokens": "cache_redis/keys/{user_id}:imtok: user_id token",
        "im_token_misspellings": "cache_redis/keys/{key}: key",
    }
    profile = profile_of(**relations)
    keys = [{"key": name} for name in ("7:imtok", "7/IM_TOK", "7:cart", "a:b:imtok")]
    judged = await judge("TOK-05", profile, sessions=[], im_tokens=[], im_token_misspellings=keys)
    assert found(judged) == ["the key 7/IM_TOK resembles an imToken key under another spelling"]


async def test_keys_by_an_id_of_users_have_their_sessions() -> None:
    """TOK-01 and TOK-05: the ids of sessions and of keys meet in the table of users."""
    profile = stack('[identity]\nkind = "column"\n[token]\nkey_id = "openim"', key="openim_user_id")
    users = [{"user_id": number, "openim_user_id": f"u{number}"} for number in (7, 8, 9)]
    tokens = [{"openim_user_id": name, "token": "t"} for name in ("u7", "u9", "nobody")]
    tables: dict[str, Any] = {"im_tokens": tokens, "users": users, "sessions": [session(7, 2), session(8, 2)]}
    assert found(await judge("TOK-01", profile, **tables)) == ["user 8 has a live session but no imToken in Redis"]
    assert found(await judge("TOK-05", profile, **tables)) == [
        f"the imToken key of {name} belongs to a user without a live session" for name in ("u9", "nobody")
    ]
