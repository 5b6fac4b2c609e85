"""The users of a replayed session, their tokens, and the REST calls of the session."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

import httpx

from suites.contract.openim.shared.bindings import RECORDED_ADMIN
from suites.contract.openim.shared.forged_tokens import sign
from suites.contract.openim.shared.target import Target
from suites.contract.openim.shared.token_timing import BETWEEN_ISSUES_S, wait_for_new_second
from suites.contract.openim.ws.bindings import TOKEN, SessionBindings
from suites.contract.openim.ws.recording import Line, Session

_ISSUED = re.compile(r"<TOKEN (\S+) p(\d+) #(\d+)>")
_BAD = re.compile(r"<TOKEN bad:([\w-]+)>")
_WEB = 5
_CUT = 3  # of the 43 characters of a signature; the rest is still base64


class AccountError(Exception):
    """The server does not let the suite create its users. The text says what to check."""


class Accounts:
    """The users of one session."""

    def __init__(self, target: Target, session: Session, bindings: SessionBindings) -> None:
        self._target, self._session, self._bindings = target, session, bindings
        self._tokens: dict[str, str] = {}
        text = json.dumps([line.decoded for line in session.lines])
        self._issues = sorted(set(_ISSUED.findall(text)), key=lambda found: (int(found[2]), found))
        self._bad = sorted(set(_BAD.findall(text)))
        self._done: set[tuple[str, str, str]] = set()
        self._paced = False

    async def prepare(self, *, all_at_once: bool) -> None:
        """Register the users and issue the first token of each; with `all_at_once` all tokens."""
        users = [self._bindings.user(name) for name in self._session.users]
        listed = [
            {"userID": user, "nickname": name, "faceURL": ""}
            for user, name in zip(users, map(self._bindings.fill, self._session.users), strict=True)
        ]
        if listed:
            _checked("/user/user_register", await self._post("/user/user_register", RECORDED_ADMIN, {"users": listed}))
        for issue in self._issues:
            if issue[2] == "1" or all_at_once:
                await self._issue(issue)
        self._forge()

    def _forge(self) -> None:
        now = int(self._target.clock.now_s())
        user = self._bindings.user(self._session.users[0]) if self._session.users else ""
        claims = {"UserID": user, "PlatformID": _WEB, "exp": now + 86_400, "iat": now - 5}
        secret = self._target.secret
        forged = {
            "garbage": "not-a-token",
            "truncated-signature": sign(claims, secret)[:-_CUT],
            "wrong-secret": sign(claims, secret + "x"),
            "expired": sign({**claims, "exp": now - 100, "iat": now - 200}, secret),
            "well-signed-but-never-issued": sign(claims, secret),
            "not-yet-valid": sign({**claims, "nbf": now + 3600}, secret),
        }
        for name in self._bad:
            self._bindings.bind(f"<TOKEN bad:{name}>", forged[name])

    async def issue_next(self) -> None:
        """Issue the next recorded token."""
        for issue in self._issues:
            if issue not in self._done:
                await self._issue(issue)
                return

    async def issue_for(self, line: Line) -> None:
        """Issue the tokens of a handshake that are not issued yet."""
        needed = set(_ISSUED.findall(json.dumps(line.decoded)))
        for issue in self._issues:
            if issue in needed and issue not in self._done:
                await self._issue(issue)

    async def _issue(self, issue: tuple[str, str, str]) -> None:
        user, platform, number = issue
        if number != "1":
            await self._target.clock.sleep(BETWEEN_ISSUES_S)
        body = {"userID": self._bindings.user(user), "platformID": int(platform)}
        answer = _checked("/auth/get_user_token", await self._post("/auth/get_user_token", RECORDED_ADMIN, body))
        token = answer["data"]["token"]
        self._bindings.bind(f"<TOKEN {user} p{platform} #{number}>", token)
        self._tokens[user] = token
        self._done.add(issue)

    async def pace(self, pause_ms: int) -> None:
        """Before a recorded call that issues a token, wait for a new second, unless the recording made it within a second."""
        if self._paced and pause_ms < 1000:
            return
        if self._paced:
            await self._target.clock.sleep(BETWEEN_ISSUES_S)
        await wait_for_new_second(self._target.clock)
        self._paced = True

    async def call(self, rest: dict[str, Any]) -> tuple[int, Any]:
        """Make a recorded REST call; returns status and body."""
        if rest["as"] != RECORDED_ADMIN and rest["as"] not in self._tokens:
            await self._issue((rest["as"], str(_WEB), "1"))
        return await self._post(rest["path"], rest["as"], self._bindings.fill(rest["request"]))

    def learn(self, recorded: Any, answer: Any) -> None:
        """Bind the token in an answer, if there is one."""
        data, given = (side.get("data") if isinstance(side, dict) else None for side in (recorded, answer))
        if isinstance(data, dict) and isinstance(given, dict) and TOKEN.fullmatch(str(data.get("token", ""))):
            self._bindings.bind(data["token"], str(given.get("token", "")))

    async def _post(self, path: str, caller: str, body: Any) -> tuple[int, Any]:
        token = await admin_token(self._target) if caller == RECORDED_ADMIN else self._tokens[caller]
        return await post(self._target, path, body, token)


async def post(target: Target, path: str, body: Any, token: str = "") -> tuple[int, Any]:
    """Make a REST call; returns the status and the body, decoded if it is JSON. Raises httpx.HTTPError."""
    headers = {"operationID": f"contract-{secrets.token_hex(6)}"}
    if token:
        headers["token"] = token
    response = await target.http.post(path, json=body, headers=headers)
    try:
        return response.status_code, response.json()
    except ValueError:
        return response.status_code, response.text


async def admin_token(target: Target) -> str:
    """The token of the administrator, requested once: a second one would expire the first [F28]. Raises AccountError."""
    if not target.admin_tokens:
        body = {"secret": target.secret, "userID": target.admin}
        try:
            status, answer = await post(target, "/auth/get_admin_token", body)
        except httpx.HTTPError as error:
            raise AccountError(f"{target.name} cannot be reached: {str(error) or type(error).__name__}") from None
        if status != 200 or not isinstance(answer, dict) or answer.get("errCode") != 0:
            raise AccountError(
                f"{target.name} refuses an administrator's token for {target.admin!r} ({_refusal(answer)}). Check the secret, "
                "and that this user is one of the server's imAdminUser.userIDs."
            )
        target.admin_tokens.append(answer["data"]["token"])
    return target.admin_tokens[0]


def _checked(path: str, found: tuple[int, Any]) -> dict[str, Any]:
    status, answer = found
    if status != 200 or not isinstance(answer, dict) or answer.get("errCode") != 0:
        raise AccountError(
            f"the users of the session cannot be created: {path} answered HTTP {status}, {_refusal(answer)}"
        )
    return answer


def _refusal(answer: Any) -> str:
    if not isinstance(answer, dict):
        return f"without an envelope: {str(answer)[:80]!r}"
    return f"errCode {answer.get('errCode')}: {answer.get('errMsg')} {answer.get('errDlt')}".strip()
