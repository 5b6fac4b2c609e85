"""The OpenIM double, or the server that the options name, is as its OpenAPI description says, whatever it is asked.

A real server (`--openim-api` and its kin) is given three users, two groups and some messages under a fresh prefix, and
then asked by routes that only read, and about ids of that prefix alone. Routes that change something, and those that
restart or configure, are never called. OPENIM_EXAMPLES=500 asks more, and something else every time.

`test_rest_contract` replays what was recorded; this one invents requests. What sequences of well-formed requests do to
the double's state is tested with the double itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from suites.contract.openim.conformance.run import Conformance, profile
from suites.contract.openim.document import openapi
from suites.contract.openim.server import Server

RIGHTS = openapi.rights()
NOT_SERVED = {"/config/get_config_list": "the double has no configuration; its recorded refusal is replayed"}


@pytest.fixture(scope="module")
def conformance(openim: Server | None) -> Iterator[Conformance]:
    """Who asks; a live server is prepared once."""
    asker = Conformance(openim, prefix=f"q{secrets.token_hex(3)}_" if openim else "qdouble_")
    yield asker
    asker.close()


@pytest.mark.timeout(1800)  # a night's number of examples
@pytest.mark.parametrize("path", RIGHTS)
def test_every_answer_is_as_described(path: str, conformance: Conformance, openim: Server | None) -> None:
    """Any request gets a described status, envelope, errCode and `data`, and nobody is given what is not his."""
    if openim and not RIGHTS[path].reads:
        pytest.skip("it changes something, or configures, and this server is not ours")
    if not openim and path in NOT_SERVED:
        pytest.skip(NOT_SERVED[path])
    codes = conformance.hold(path, profile())
    assert codes.total() >= 1
