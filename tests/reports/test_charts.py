"""Charts show what they were given, as well-formed SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from reports.charts import heat, lines

numbers = st.one_of(st.none(), st.floats(0, 1e9, allow_nan=False))


@given(st.dictionaries(st.text(min_size=1, max_size=9), st.lists(numbers, max_size=30), max_size=5), st.booleans())
def test_lines_are_well_formed_for_any_series(series: dict[str, list[float | None]], log: bool) -> None:
    """The SVG is well-formed, has a line for each series with a value, and all points are within the chart."""
    svg = lines(series, step_s=1, unit="<ms>", title='say "hello"', log=log)
    root = ElementTree.fromstring(re.sub(r"[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]", "", svg))  # noqa: S314 - our own
    drawn = [item for item in root.iter("path") if "line" in item.attrib["class"]]
    assert len(drawn) == sum(any(value is not None for value in line) for line in series.values())
    for path in drawn:
        places = re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path.attrib["d"])
        assert all(0 <= float(x) <= 920 and 0 <= float(y) <= 240 for x, y in places)


def test_heat_map_cells_have_their_place_and_count() -> None:
    """A cell for each step with a loss, with its count as tooltip. Names are escaped."""
    svg = heat([("<b>one</b>", {0: 1, 9: 4}), ("two", {3: 2})], steps=10, step_s=5, title="losses")
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    cells = [item for item in root.iter("rect") if item.attrib["class"] == "cell"]
    assert [cell.findtext("title") for cell in cells] == ["1 at 0 s", "4 at 45 s", "2 at 15 s"]
    assert len({cell.attrib["y"] for cell in cells}) == 2
    assert "<b>" not in svg
