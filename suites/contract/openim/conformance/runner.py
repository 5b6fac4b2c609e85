"""Sending many generated requests to a route and checking each answer."""

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

from suites.contract.openim.conformance import checks, sample_data
from suites.contract.openim.conformance.checks import Exchange
from suites.contract.openim.conformance.generator import Generator
from suites.contract.openim.conformance.sample_data import SampleData
from suites.contract.openim.document import openapi
from suites.contract.openim.server import DEFAULT_ADMIN, DEFAULT_SECRET, Server
from suites.contract.openim.shared.target import Target, double, live

_DESCRIBED: Final = [status_code_conformance, content_type_conformance, response_schema_conformance]
_JSON: Final = "application/json"
_OWN_HEADERS: Final = ("token", "content-length")
_EXAMPLES: Final = 25
_CALLERS: Final = st.sampled_from([sample_data.ADMIN, sample_data.OWNER, sample_data.STRANGER, *sample_data.CALLERS])


def example_settings() -> settings:
    """25 requests of each kind, always the same ones. OPENIM_EXAMPLES=500 makes 500, different ones every time."""
    examples = os.environ.get("OPENIM_EXAMPLES", "")
    if examples and not (examples.isdecimal() and int(examples)):
        raise ValueError(
            f"OPENIM_EXAMPLES is {examples!r}. It must be the number of requests of each kind, for example 500."
        )
    return settings(
        max_examples=int(examples or _EXAMPLES),
        derandomize=not examples,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


@dataclass(frozen=True, kw_only=True)
class PreparedServer:
    """A server with its sample data."""

    target: Target
    sample: SampleData


class Conformance:
    """Checks the answers of a server against the description. The user must close it.

    Args:
        server: a live server, which is prepared once, and of which only routes that read are called. None is the double:
            for routes that change something, each request gets a new one, so that outcomes depend on the request alone.
        prefix: the prefix of the ids of the sample data.
    """

    def __init__(self, server: Server | None = None, *, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._runner = asyncio.Runner()
        self._shared: PreparedServer | None = None
        self._open = AsyncExitStack()
        self._document = openapi.build()
        self._rights = openapi.rights()
        credentials = {} if server else {"secret": DEFAULT_SECRET, "admin": DEFAULT_ADMIN}
        known = SampleData(prefix=prefix, tokens={}, **credentials)
        self._generator = Generator(self._document, known, only_known=server is not None)

    def close(self) -> None:
        """Close the connection to the server."""
        self._runner.run(self._open.aclose())
        self._runner.close()

    def check_route(self, path: str, examples: settings) -> Counter[int]:
        """Send requests to a route; returns errCode -> number of answers.

        Raises ContractViolation, or the failures of schemathesis, for the smallest request whose answer breaks a rule.

        Args:
            examples: how many requests of each kind are sent.
        """
        if self._server and not self._rights[path].reads:
            raise ValueError(f"{path} changes something: it is not called on a live server")
        codes: Counter[int] = Counter()
        judge = self._judge(path, codes)
        for cases in self._generator.cases(path):
            examples(given(case=cases, caller=_CALLERS)(judge))()
        return codes

    def _judge(self, path: str, codes: Counter[int]) -> Callable[[Case[Any], str], None]:
        right = self._rights[path]
        fits, described = self._request_validator(path), self._answer_validators(path)

        def every_answer_conforms(case: Case[Any], caller: str) -> None:
            response = self._runner.run(self._send(case, caller, fresh=not right.reads))
            exchange = Exchange(
                path=path,
                rights=right,
                sample=self._generator.sample,
                caller=caller,
                body=_body(response.request.content),
                status=response.status_code,
                answer=_body(response.content),
            )
            codes[exchange.code] += 1
            checks.check_rights(exchange)
            checks.check_binding(exchange, fits)
            checks.check_without_body(exchange)
            checks.check_answer(exchange, described)
            case.validate_response(response, checks=_DESCRIBED)

        return every_answer_conforms

    async def _send(self, case: Case[Any], caller: str, *, fresh: bool) -> httpx.Response:
        if fresh:
            async with AsyncExitStack() as stack:
                return await _send_as(await self._prepared(stack), case, caller)
        if self._shared is None:
            self._shared = await self._prepared(self._open)
        return await _send_as(self._shared, case, caller)

    async def _prepared(self, stack: AsyncExitStack) -> PreparedServer:
        target = await stack.enter_async_context(live(self._server) if self._server else double(manual=True))
        return PreparedServer(target=target, sample=await sample_data.prepare(target, self._prefix))

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


async def _send_as(served: PreparedServer, case: Case[Any], caller: str) -> httpx.Response:
    """Send a case as this caller. The token is added here, so that failures do not show it."""
    prepared = requests.Request(**case.as_transport_kwargs(base_url="http://target")).prepare()
    headers = {name: str(value) for name, value in prepared.headers.items() if name.lower() not in _OWN_HEADERS}
    if token := served.sample.tokens.get(caller):
        headers["token"] = token
    content = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
    content = content if isinstance(content, bytes) else b""
    request = served.target.http.build_request(
        "POST",
        str(prepared.path_url),
        content=content.replace(
            sample_data.TOKEN_PLACEHOLDER.encode(), served.sample.tokens[sample_data.OWNER].encode()
        ),
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
