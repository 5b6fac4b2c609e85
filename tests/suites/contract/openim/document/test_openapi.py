"""The OpenAPI description agrees with the recordings and the routes of the double."""

from __future__ import annotations

import json

from fixtures.openim import routes
from suites.contract.openim.document import openapi
from suites.contract.openim.rest import recording

NOT_RECORDED = {
    "/config/get_config",
    "/config/set_config",
    "/object/auth_sign",
    "/object/complete_multipart_upload",
    "/object/initiate_multipart_upload",
    "/object/part_size",
}


def test_every_recorded_route_is_described() -> None:
    """Each recorded path and method has an operation, and so has each route of the double except those never recorded."""
    described = {(path, method.upper()) for path, methods in openapi.build()["paths"].items() for method in methods}
    assert {(case.path.partition("?")[0], case.method) for case in recording.load()} <= described
    assert routes.ROUTES.keys() - openapi.rights().keys() == NOT_RECORDED


def test_every_recorded_answer_fits_the_description() -> None:
    """The description includes the HTTP status and errCode of every recorded answer."""
    paths = openapi.build()["paths"]
    for case in recording.load():
        answers = paths[case.path.partition("?")[0]][case.method.lower()]["responses"]
        assert str(case.status) in answers, case.case
        if case.status == 200 and isinstance(case.response, dict) and case.response["errCode"]:
            assert str(case.response["errCode"]) in json.dumps(answers["200"]), case.case
