"""The statement log counts statements in normal form, and its sums are those of the report."""

from __future__ import annotations

from verifier.stores.statement_log import StatementLog, normal_form, sum_up


def test_statements_of_one_normal_form_are_one_entry() -> None:
    """Blanks and line ends do not matter."""
    log = StatementLog()
    log.note("select", "SELECT a\n  FROM t")
    log.note("select", "SELECT a FROM t", count=2)
    log.answered("SELECT a FROM t", took_s=0.5, rows=7)
    log.answered("SELECT a FROM t", took_s=1.5, rows=1, failed=True)
    assert (log.total, log.rows, dict(log.reads)) == (3, 8, {"select": 3})
    (line,) = log.lines.values()
    assert (line.sent, line.answers, line.failed, line.time_s, line.slowest_s) == (3, 2, 1, 2.0, 1.5)
    assert normal_form(" a \n b ") == "a b"


def test_the_report_has_the_slowest_statement_first() -> None:
    """`sent` is given, because it includes the first part of a resumed run."""
    log = StatementLog(refused=1, backed_off=2)
    for statement, took_s in (("quick", 0.1), ("slow", 2.0)):
        log.note(statement)
        log.answered(statement, took_s=took_s, rows=1)
    footprint = sum_up(log, sent=10)
    assert [item.statement for item in footprint.statements] == ["slow", "quick"]
    assert (footprint.sent, footprint.rows, footprint.refused, footprint.rests) == (10, 2, 1, 2)
    assert sum_up(None, sent=3).sent == 3
