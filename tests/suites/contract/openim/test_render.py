"""Rendering a parity as JUnit XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from suites.contract.openim.deviations import Deviation, Deviations
from suites.contract.openim.parity import Parity, row_of
from suites.contract.openim.render import write_junit


def test_junit_has_a_test_case_for_each_row(tmp_path: Path) -> None:
    """A row that does not agree is a failure with its explanation; control characters do not break the XML."""
    deviations = Deviations((Deviation("f", "errCode", "known"), Deviation("f", "status", "gone")))
    rows = (row_of("REST", "f", ["a: errCode \x00"], deviations), row_of("WebSocket", "g", [""], deviations))
    write_junit(Parity(server="s", rows=rows), tmp_path / "junit.xml")
    root = ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314 - written above
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert "no longer occurs" in str(root.findtext("testcase/failure"))
