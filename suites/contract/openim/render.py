"""Rendering a parity as a table and as JUnit XML. As JSON it is `Parity.document`."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suites.contract.openim.parity import Parity, Row


def show(parity: Parity, console: Console) -> None:
    """Print a line for each flow and session, the totals, and each difference."""
    title = f"Parity of {parity.server} with the recorded server"
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False
    )
    for heading in ("", "flow or session"):
        table.add_column(heading, no_wrap=True)
    for heading in ("cases", "equal", "declared", "wrong"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in parity.rows:
        _line(table, row, row.kind)
    table.add_section()
    _line(table, parity.total(), "")
    console.print(table)
    for row in parity.rows:
        for one in row.differences:
            console.print(
                f"{row.name}: {escape(one.text)}" + (f" (declared: {escape(one.reason)})" if one.reason else "")
            )
        for gone in row.obsolete:
            console.print(f"{row.name}: no longer occurs, remove it from deviations.toml: {escape(gone.what)!r}")
    total = parity.total()
    share = total.deviating / total.cases if total.cases else 0.0
    console.print(
        f"{total.equal} of {total.cases} cases are equal, {total.deviating} differ as declared ({share:.1%}), "
        f"{total.wrong} are wrong."
    )


def _line(table: Table, row: Row, kind: str) -> None:
    style = None if row.agrees else "bold red"
    numbers = (str(one) for one in (row.cases, row.equal, row.deviating, row.wrong))
    table.add_row(kind, row.name, *numbers, style=style)


def write_junit(parity: Parity, path: Path) -> None:
    """Write a test case for each row. Raises OSError."""
    wrong = [row for row in parity.rows if not row.agrees]
    suite = ET.Element(
        "testsuite", name="openim contract", tests=str(len(parity.rows)), failures=str(len(wrong)), errors="0"
    )
    for row in parity.rows:
        case = ET.SubElement(suite, "testcase", classname=f"openim.{row.kind.lower()}", name=row.name)
        if not row.agrees:
            failure = ET.SubElement(case, "failure", message=f"{row.wrong} of {row.cases} cases differ")
            failure.text = _printable(row.explanation())
    ET.indent(suite)
    path.write_bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))


def _printable(text: str) -> str:
    """The text with its control characters written as escapes, because XML does not allow them."""
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)
