"""Relation `verifier.canary_messages`: messages that canaries sent and received long ago, from their older journals [D1]."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from verifier.judges.journal import JournalError
from verifier.judges.journal_reader import JournalReader, journals
from verifier.judges.messages import index_messages
from verifier.judges.operation import OpPhase
from verifier.model.invariant import Phase, Row
from verifier.profile.errors import NotMapped
from verifier.profile.models import Profile
from verifier.stores.errors import StoreError

MESSAGES_MAX = 200
"""Bound on the messages of one run, newest journals first: each may cost one request."""


class CanaryMessages:
    """One row per acknowledged message that a journal also has with its seq. The journal is older than
    `canary.durable_after_s` and younger than OpenIM's retention [F127].

    `place` is `<conversation>:<seq>`; `digest` is that of the text.
    """

    key: tuple[str, ...] = ("place",)

    def __init__(self, profile: Profile) -> None:
        canary = profile.canary
        if canary is None:
            raise NotMapped("canary")
        now = datetime.now(UTC)
        self._place = Path(canary.journal)
        self._until = now - timedelta(seconds=canary.durable_after_s)
        days = profile.retention_days[0]
        self._began = profile.since_phase(Phase.CUTOVER)
        # One day less: OpenIM's nightly deletion may be running [F127].
        self._since = now - timedelta(days=max(days - 1, 0)) if days else None
        self._hours = canary.durable_after_s / 3600
        self.label = f"canary journals older than {self._hours:g} h at {canary.journal}"

    @property
    def queries(self) -> tuple[str, ...]:
        """The files that are read."""
        return (f"read journals at {self._place}",)

    async def chunks(self) -> AsyncIterator[Sequence[Row]]:
        """All rows, the newest journals first. Raises StoreError where no journal is old enough although the cutover is."""
        if rows := list(self._rows()):
            yield rows

    async def lookup(self, column: str, values: Sequence[Any]) -> Sequence[Row]:
        """The rows with these values."""
        wanted = {str(value) for value in values}
        return [row for row in self._rows() if str(row[column]) in wanted]

    def _rows(self) -> Iterator[Row]:
        found = 0
        paths = journals(self._place)
        if not paths:
            raise StoreError(
                f"there is no canary journal at {self._place}. Run: python -m suites.canary --profile stack.toml"
            )
        for path in paths:
            if found >= MESSAGES_MAX:
                return
            try:
                for row in self._of(path):
                    found += 1
                    yield row
            except JournalError as error:
                raise StoreError(str(error)) from None
        if not found and self._began is not None and self._began < self._until:
            raise StoreError(
                f"no canary journal at {self._place} is older than {self._hours:g} h, although the cutover is, so that it is not known "
                "whether messages last. Run the canary every day and keep its journals longer"
            )

    def _of(self, path: Path) -> Iterator[Row]:
        reader = JournalReader(path)
        started = reader.header.started_at
        if started > self._until or (self._since is not None and started < self._since):
            return
        messages = index_messages(reader)
        seen: dict[str, int] = {}
        for (marker, _), candidates in messages.receptions.items():
            for candidate in candidates:
                if (seq := candidate.number("seq")) is not None:
                    seen.setdefault(marker, seq)
        if reader.last_at > self._until:
            return
        for marker, message in messages.sent.items():
            if marker in seen and message.call.phase is OpPhase.OK:
                yield {
                    "marker": marker,
                    "place": f"{message.conversation}:{seen[marker]}",
                    "conversation_id": message.conversation,
                    "seq": seen[marker],
                    "digest": message.call.invoke.text("digest"),
                    "sent_at": datetime.fromtimestamp(message.call.invoke.time_ns / 1e9, UTC),
                    "journal": path.name,
                }
