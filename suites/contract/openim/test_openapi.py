"""The OpenIM double, or the server under test, conforms to the OpenAPI description for generated requests.

On a live server (`--openim-api`) three users, two groups and some messages are created under a fresh prefix. Then only
routes that read are called, and only with ids of that prefix; routes that change, restart or configure are never called.
OPENIM_EXAMPLES=500 generates 500 requests of each kind, different ones every time.

`test_rest_contract` replays recorded requests. Sequences of requests are tested with the double itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from suites.contract.openim.conformance.runner import Conformance, example_settings
from suites.contract.openim.document import openapi
from suites.contract.openim.server import Server

RIGHTS = openapi.rights()
NOT_SERVED = {"/config/get_config_list": "the double has no configuration; its recorded refusal is replayed"}


@pytest.fixture(scope="module")
def conformance(openim: Server | None) -> Iterator[Conformance]:
    """The requester; a live server is prepared once."""
    requester = Conformance(openim, prefix=f"q{secrets.token_hex(3)}_" if openim else "qdouble_")
    yield requester
    requester.close()


@pytest.mark.timeout(1800)  # as many examples as a nightly run takes
@pytest.mark.parametrize("path", RIGHTS)
def test_every_answer_is_as_described(path: str, conformance: Conformance, openim: Server | None) -> None:
    """Every request gets a described status, envelope, errCode and `data`, and no user gets data of others."""
    if openim and not RIGHTS[path].reads:
        pytest.skip("the route changes or configures something, and this is a live server")
    if not openim and path in NOT_SERVED:
        pytest.skip(NOT_SERVED[path])
    codes = conformance.check_route(path, example_settings())
    assert codes.total() >= 1
