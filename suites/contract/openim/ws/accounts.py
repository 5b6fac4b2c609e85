"""The users of a replayed session, their tokens, and REST calls in their names."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

import httpx

from suites.contract.openim import tokens
from suites.contract.openim.target import Target
from suites.contract.openim.ws.recording import Line, Session
from suites.contract.openim.ws.symbols import RECORDED_ADMIN, TOKEN, Symbols

BETWEEN_ISSUES_S = 1.1
"""Tokens of one user and platform that are issued within a second are one token (trap R7)."""
LATEST_IN_SECOND = 0.3
_ISSUED = re.compile(r"<TOKEN (\S+) p(\d+) #(\d+)>")
_BAD = re.compile(r"<TOKEN bad:([\w-]+)>")
_WEB = 5
_CUT = 3  # of 43 characters: what is left is base64 still, but no signature


class AccountError(Exception):
    """The server does not let the suite make its users; the text says what to check."""


class Accounts:
    """Who takes part in a session."""

    def __init__(self, target: Target, session: Session, symbols: Symbols) -> None:
        self._target, self._session, self._symbols = target, session, symbols
        self._tokens: dict[str, str] = {}
        text = json.dumps([line.decoded for line in session.lines])
        self._issues = sorted(set(_ISSUED.findall(text)), key=lambda found: (int(found[2]), found))
        self._bad = sorted(set(_BAD.findall(text)))
        self._done: set[tuple[str, str, str]] = set()
        self._paced = False

    async def prepare(self, *, all_at_once: bool) -> None:
        """Register the users and issue the first token of each, or with `all_at_once` every one."""
        users = [self._symbols.user(name) for name in self._session.users]
        listed = [
            {"userID": user, "nickname": name, "faceURL": ""}
            for user, name in zip(users, map(self._symbols.fill, self._session.users), strict=True)
        ]
        if listed:
            _checked("/user/user_register", await self._post("/user/user_register", RECORDED_ADMIN, {"users": listed}))
        for issue in self._issues:
            if issue[2] == "1" or all_at_once:
                await self._issue(issue)
        self._forge()

    def _forge(self) -> None:
        now = int(self._target.clock.now_s())
        user = self._symbols.user(self._session.users[0]) if self._session.users else ""
        claims = {"UserID": user, "PlatformID": _WEB, "exp": now + 86_400, "iat": now - 5}
        secret = self._target.secret
        forged = {
            "garbage": "not-a-token",
            "truncated-signature": tokens.signed(claims, secret)[:-_CUT],
            "wrong-secret": tokens.signed(claims, secret + "x"),
            "expired": tokens.signed({**claims, "exp": now - 100, "iat": now - 200}, secret),
            "well-signed-but-never-issued": tokens.signed(claims, secret),
            "not-yet-valid": tokens.signed({**claims, "nbf": now + 3600}, secret),
        }
        for name in self._bad:
            self._symbols.bind(f"<TOKEN bad:{name}>", forged[name])

    async def issue_next(self) -> None:
        """Issue the next token that the recording speaks of."""
        for issue in self._issues:
            if issue not in self._done:
                await self._issue(issue)
                return

    async def issue_for(self, line: Line) -> None:
        """Issue what this handshake needs and has not got."""
        needed = set(_ISSUED.findall(json.dumps(line.decoded)))
        for issue in self._issues:
            if issue in needed and issue not in self._done:
                await self._issue(issue)

    async def _issue(self, issue: tuple[str, str, str]) -> None:
        user, platform, number = issue
        if number != "1":
            await self._target.clock.sleep(BETWEEN_ISSUES_S)
        body = {"userID": self._symbols.user(user), "platformID": int(platform)}
        answer = _checked("/auth/get_user_token", await self._post("/auth/get_user_token", RECORDED_ADMIN, body))
        token = answer["data"]["token"]
        self._symbols.bind(f"<TOKEN {user} p{platform} #{number}>", token)
        self._tokens[user] = token
        self._done.add(issue)

    async def pace(self, pause_ms: int) -> None:
        """Before a token that the recording asks for itself: within a second of the one before, or a second later."""
        clock = self._target.clock
        if self._paced and pause_ms < 1000:
            return
        if self._paced:
            await clock.sleep(BETWEEN_ISSUES_S)
        into_second = clock.now_s() % 1
        if into_second > LATEST_IN_SECOND:
            await clock.sleep(BETWEEN_ISSUES_S - into_second)
        self._paced = True

    async def call(self, rest: dict[str, Any]) -> tuple[int, Any]:
        """A recorded REST call, as this run's user."""
        if rest["as"] != RECORDED_ADMIN and rest["as"] not in self._tokens:
            await self._issue((rest["as"], str(_WEB), "1"))
        return await self._post(rest["path"], rest["as"], self._symbols.fill(rest["request"]))

    def learn(self, recorded: Any, answer: Any) -> None:
        """Learn a token that an answer holds."""
        data, given = (side.get("data") if isinstance(side, dict) else None for side in (recorded, answer))
        if isinstance(data, dict) and isinstance(given, dict) and TOKEN.fullmatch(str(data.get("token", ""))):
            self._symbols.bind(data["token"], str(given.get("token", "")))

    async def _post(self, path: str, caller: str, body: Any) -> tuple[int, Any]:
        token = await admin_token(self._target) if caller == RECORDED_ADMIN else self._tokens[caller]
        return await post(self._target, path, body, token)


async def post(target: Target, path: str, body: Any, token: str = "") -> tuple[int, Any]:
    """One REST call: the status and what the body holds. Raises httpx.HTTPError."""
    headers = {"operationID": f"contract-{secrets.token_hex(6)}"}
    if token:
        headers["token"] = token
    response = await target.http.post(path, json=body, headers=headers)
    try:
        return response.status_code, response.json()
    except ValueError:
        return response.status_code, response.text


async def admin_token(target: Target) -> str:
    """The administrator's token: asked for once, because another one would end it (trap T2). Raises AccountError."""
    if not target.admin_tokens:
        body = {"secret": target.secret, "userID": target.admin}
        try:
            status, answer = await post(target, "/auth/get_admin_token", body)
        except httpx.HTTPError as error:
            raise AccountError(f"{target.name} cannot be reached: {str(error) or type(error).__name__}") from None
        if status != 200 or not isinstance(answer, dict) or answer.get("errCode") != 0:
            raise AccountError(
                f"{target.name} gives {target.admin!r} no administrator's token ({_told(answer)}). Check the secret and "
                "that this user is one of the server's imAdminUser.userIDs."
            )
        target.admin_tokens.append(answer["data"]["token"])
    return target.admin_tokens[0]


def _checked(path: str, found: tuple[int, Any]) -> dict[str, Any]:
    status, answer = found
    if status != 200 or not isinstance(answer, dict) or answer.get("errCode") != 0:
        raise AccountError(f"the session's users cannot be made: {path} answered HTTP {status}, {_told(answer)}")
    return answer


def _told(answer: Any) -> str:
    if not isinstance(answer, dict):
        return f"no envelope: {str(answer)[:80]!r}"
    return f"errCode {answer.get('errCode')}: {answer.get('errMsg')} {answer.get('errDlt')}".strip()
