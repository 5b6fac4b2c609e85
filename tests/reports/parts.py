"""Result files written by hand, for the report to read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from load.report import account_for, write_json
from reports.models.suites import CaseDocument, Ending, SuitesDocument
from verifier.judges.journal import JournalWriter
from verifier.judges.operation import OpPhase
from verifier.judges.recorder import MessageRecorder

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def case(node: str, ending: Ending, message: str = "", *, after_s: float = 0) -> CaseDocument:
    """One test that took a second."""
    return CaseDocument(
        node=node,
        about="Chats survive their move.",
        ending=ending,
        message=message,
        started_at=NOON + timedelta(seconds=after_s),
        duration_s=1,
    )


def session(*cases: CaseDocument, interrupted: bool = False) -> SuitesDocument:
    """A session of tests."""
    return SuitesDocument(
        stack="acme",
        phase="cutover",
        started_at=NOON,
        ended_at=NOON + timedelta(minutes=1),
        interrupted=interrupted,
        cases=cases,
    )


def load_report(path: Path, *, lost: bool) -> Path:
    """The result of a load run of one message, lost or read back."""
    journal = JournalWriter(path.with_suffix(".jsonl"), run_id="20260105T120000Z", kind="load", stack="acme")
    message_recorder = MessageRecorder(journal)
    sent = message_recorder.begin_send("a", marker="m1", conversation="si_a_b", text="hi", receivers=("b",))
    message_recorder.end_send("a", sent, OpPhase.OK, message_id="id1")
    read = message_recorder.begin_read("b", "si_a_b")
    if not lost:
        message_recorder.saw("b", marker="m1", conversation="si_a_b", text="hi", seq=1, message_id="id1", read=read)
    message_recorder.end_read("b", read, begin=1, end=1, complete=True)
    journal.close()
    write_json(account_for([path.with_suffix(".jsonl")], settle_s=0), path)
    return path
