"""The documents of the OpenIM contract agree with the code and the recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.openim import routes
from fixtures.wire.identifiers import PAYLOADS, ReqIdentifier
from suites.contract.openim.document import openapi, websocket
from suites.contract.openim.document.pages import PAGES
from suites.contract.openim.document.shapes import Shape
from suites.contract.openim.rest import recording

DOCS = Path(__file__).parents[3] / "docs"
NOT_RECORDED = {
    "/config/get_config",
    "/config/set_config",
    "/object/auth_sign",
    "/object/complete_multipart_upload",
    "/object/initiate_multipart_upload",
    "/object/part_size",
}


@pytest.mark.parametrize("name", sorted(PAGES))
def test_document_is_up_to_date(name: str) -> None:
    """Each committed document equals the generated one; `make docs` updates it."""
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"


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


def test_every_identifier_and_message_is_on_the_page() -> None:
    """The page names each request identifier once and describes each message that a frame can carry."""
    page = websocket.page()
    for one in ReqIdentifier:
        assert page.count(f"\n| {one.value} | {one.name.lower().replace('_', ' ')} |") == 1, one
    carried = {kind for way in PAYLOADS.values() for kind in (way.request, way.answer) if kind is not None}
    for kind in carried:
        assert f"\n### {kind.DESCRIPTOR.name}\n" in page, kind


def test_a_shape_is_the_union_of_its_examples() -> None:
    """A key that is missing in one example is not required, and a value that is null in one may be null."""
    shape = Shape()
    shape.add({"a": 1, "b": None})
    shape.add({"a": 2, "b": "x", "c": [True]})
    assert shape.required == ["a", "b"]
    assert {key: one.kinds for key, one in shape.fields.items()} == {
        "a": {"integer"},
        "b": {"null", "string"},
        "c": {"array"},
    }


def test_ids_are_not_accepted_as_names_of_fields() -> None:
    """An object whose keys are ids must be declared as a map."""
    with pytest.raises(ValueError, match="add the name of its map"):
        Shape().add({"si_{P}a_{P}b": 1})
