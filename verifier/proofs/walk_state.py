"""What a walk keeps in a checkpoint, and how it resumes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from verifier.proofs.again import text_of
from verifier.proofs.context import Context
from verifier.proofs.open_findings import OpenFindings
from verifier.proofs.records import RecordProof
from verifier.proofs.suspects import Suspect, Suspects, Unread
from verifier.proofs.whole import Tally, Whole
from verifier.stores.protocols import OrderedSource, Source

_FORMAT = 2
"""The form of checkpoints. One of another form does not fit."""


class ResumableWalk:
    """The state of a walk between two chunks."""

    proof: RecordProof
    context: Context
    source: Source
    tally: Tally
    whole: Whole
    unread: Unread
    open_findings: OpenFindings | None
    seen: int
    left_out: int
    overflow: int
    without_visible_partner: int

    @property
    def queries(self) -> tuple[str, ...]:
        """The queries of all sources."""
        raise NotImplementedError

    def _ordered(self) -> OrderedSource:
        if not isinstance(self.source, OrderedSource):
            raise TypeError(
                f"{self.source.label} has no order to resume in"
            )  # pragma: no cover - only an ordered source has positions
        return self.source

    @property
    def _slot(self) -> str:
        return f"walk {self.context.proof_index}"

    @property
    def _question(self) -> str:
        """A digest of what the proof asks. A checkpoint of another question does not fit."""
        proof = self.proof
        asked = (
            _FORMAT,
            type(proof).__name__,
            self.context.phase.value,
            self.queries,
            proof.unit,
            proof.statement,
            proof.sample,
        )
        return hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _checkpoint(self, suspects: Mapping[Any, Suspect], *, done: bool = False) -> None:
        checkpoints = self.context.checkpoints
        position = self.source.position if isinstance(self.source, OrderedSource) else None
        if checkpoints is None or (position is None and not done and self.open_findings is None):
            return

        def state() -> dict[str, Any]:
            return {
                "question": self._question,
                "position": position,
                "done": done,
                "read": self.tally.rows,
                "seen": self.seen,
                "left_out": self.left_out,
                "overflow": self.overflow,
                "without_visible_partner": self.without_visible_partner,
                "unread": self.unread.to_json(),
                "shortfall": self.whole.shortfall,
                "suspects": [item.to_json() for item in suspects.values()],
                "open": self.open_findings.state if self.open_findings is not None else {},
            }

        checkpoints.save(self.context.check_id, self._slot, state)

    def _resumed(self) -> tuple[Suspects, str | None, bool]:
        """Suspects, position and whether the reading was complete; empty if no checkpoint fits."""
        checkpoints = self.context.checkpoints
        raw = checkpoints.load(self.context.check_id, self._slot) if checkpoints else None
        if raw is None or raw["question"] != self._question:
            return {}, None, False
        if self.open_findings is not None:
            self.open_findings.resume(raw["open"])
        if not raw["done"] and not isinstance(self.source, OrderedSource):
            return {}, None, False
        self.seen, self.left_out, self.overflow = raw["seen"], raw["left_out"], raw["overflow"]
        self.tally.rows, self.without_visible_partner = raw["read"], raw["without_visible_partner"]
        self.unread = Unread.from_json(raw["unread"])
        self.whole.resumed, self.whole.shortfall = True, raw["shortfall"]
        suspects = [Suspect.from_json(item) for item in raw["suspects"]]
        return {text_of(item.key): item for item in suspects}, raw["position"], raw["done"]
