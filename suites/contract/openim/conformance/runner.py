"""Asking one route many things, and judging each answer."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import jsonschema_rs
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from suites.contract.openim.conformance import checks
from suites.contract.openim.conformance import sample_data as world
from suites.contract.openim.conformance.checks import Asked
from suites.contract.openim.conformance.generator import Generator
from suites.contract.openim.conformance.sample_data import World
from suites.contract.openim.document import openapi
from suites.contract.openim.server import DEFAULT_ADMIN, DEFAULT_SECRET, Server
from suites.contract.openim.shared.target import Target, double, live

_DESCRIBED: Final = [status_code_conformance, content_type_conformance, response_schema_conformance]
_JSON: Final = "application/json"
_OURS: Final = ("token", "content-length")
_EXAMPLES: Final = 25
_MOSTLY: Final = st.sampled_from([world.ADMIN, world.OWNER, world.STRANGER, *world.CALLERS])


def profile() -> settings:
    """25 requests of each kind, always the same ones. OPENIM_EXAMPLES=500 makes it 500, and others every time."""
    asked = os.environ.get("OPENIM_EXAMPLES", "")
    if asked and not (asked.isdecimal() and int(asked)):
        raise ValueError(
            f"OPENIM_EXAMPLES is {asked!r}; give how many requests of each kind a route is to get, as 500."
        )
    return settings(
        max_examples=int(asked or _EXAMPLES),
        derandomize=not asked,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


@dataclass(frozen=True, kw_only=True)
class Served:
    """A prepared server."""

    target: Target
    world: World


class Conformance:
    """Holds a server to the description. Whoever uses it closes it.

    Without a `server` it is the double: a route that changes something gets a new one for each request, so that every
    outcome depends on the request alone. A live server is prepared once, and only routes that read may be asked.
    """

    def __init__(self, server: Server | None = None, *, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._runner = asyncio.Runner()
        self._shared: Served | None = None
        self._open = AsyncExitStack()
        self._document = openapi.build()
        self._rights = openapi.rights()
        tried = {} if server else {"secret": DEFAULT_SECRET, "admin": DEFAULT_ADMIN}
        known = World(prefix=prefix, tokens={}, **tried)
        self._generator = Generator(self._document, known, only_known=server is not None)

    def close(self) -> None:
        """Let go of the server."""
        self._runner.run(self._open.aclose())
        self._runner.close()

    def hold(self, path: str, examples: settings) -> Counter[int]:
        """Throw requests at a route, so many of each kind; returns how often each errCode came.

        Raises Broken, or schemathesis' failures, for the smallest request whose answer breaks a rule.
        """
        if self._server and not self._rights[path].reads:
            raise ValueError(f"{path} changes something: it is not for a live server")
        codes: Counter[int] = Counter()
        judge = self._judge(path, codes)
        for cases in self._generator.cases(path):
            examples(given(case=cases, caller=_MOSTLY)(judge))()
        return codes

    def _judge(self, path: str, codes: Counter[int]) -> Callable[[Case[Any], str], None]:
        right = self._rights[path]
        fits, described = self._request_validator(path), self._answer_validators(path)

        def every_answer_conforms(case: Case[Any], caller: str) -> None:
            response = self._runner.run(self._ask(case, caller, fresh=not right.reads))
            asked = Asked(
                path=path,
                rights=right,
                world=self._generator.world,
                caller=caller,
                body=_body(response.request.content),
                status=response.status_code,
                answer=_body(response.content),
            )
            codes[asked.code] += 1
            checks.check_rights(asked)
            checks.check_binding(asked, fits)
            checks.check_without_body(asked)
            checks.check_answer(asked, described)
            case.validate_response(response, checks=_DESCRIBED)

        return every_answer_conforms

    async def _ask(self, case: Case[Any], caller: str, *, fresh: bool) -> httpx.Response:
        if fresh:
            async with AsyncExitStack() as stack:
                return await _send(await self._prepared(stack), case, caller)
        if self._shared is None:
            self._shared = await self._prepared(self._open)
        return await _send(self._shared, case, caller)

    async def _prepared(self, stack: AsyncExitStack) -> Served:
        target = await stack.enter_async_context(live(self._server) if self._server else double(manual=True))
        return Served(target=target, world=await world.prepare(target, self._prefix))

    def _request_validator(self, path: str) -> jsonschema_rs.Validator:
        return self._compiled(self._operation(path)["requestBody"]["content"][_JSON]["schema"])

    def _answer_validators(self, path: str) -> dict[str, jsonschema_rs.Validator]:
        found = {}
        for status, answer in self._operation(path)["responses"].items():
            schema = answer.get("content", {}).get(_JSON, {}).get("schema", {})
            done, refused = schema.get("oneOf", (None, schema))
            if done:
                found[f"{status} done"] = self._compiled(done)
            if refused:
                found[status] = self._compiled(refused)
        return found

    def _operation(self, path: str) -> Mapping[str, Any]:
        operation: Mapping[str, Any] = self._document["paths"][path]["post"]
        return operation

    def _compiled(self, schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
        return jsonschema_rs.validator_for({**schema, "components": self._document["components"]})


async def _send(served: Served, case: Case[Any], caller: str) -> httpx.Response:
    """Send a case as this caller. The token never stands in the case, so that no failure shows it."""
    prepared = requests.Request(**case.as_transport_kwargs(base_url="http://target")).prepare()
    headers = {name: str(value) for name, value in prepared.headers.items() if name.lower() not in _OURS}
    if token := served.world.tokens.get(caller):
        headers["token"] = token
    content = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    content = content if isinstance(content, bytes) else b""
    request = served.target.http.build_request(
        "POST",
        str(prepared.path_url),
        content=content.replace(world.PLACE_OF_TOKEN.encode(), served.world.tokens[world.OWNER].encode()),
        headers=httpx.Headers(headers, encoding="latin-1"),
    )
    response = await served.target.http.send(request)
    served.target.clock.tick()
    return response


def _body(content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")
