"""What the users of one engine share: the journal, the figures, and the counts from which both follow."""

from __future__ import annotations

from load.engine.figures import Figures
from load.engine.plan import EnginePlan
from load.journal.layout import WORKER_SHIFT
from load.journal.writer import ColumnWriter


class RunRecord:
    """One process's record of its run. Everything here is read and written in the engine's loop.

    Attributes:
        count: how many messages were sent; the newest message's count.
        open_sends: how many sends are unanswered, over all users.
        begin: for each conversation, the first seq that can be the run's.
        lane_acked: acknowledged sends by lane; `lanes_of` holds the lanes of each conversation.
        unsure: the numbers of messages whose sends were not answered clearly.
        pushed_ns: when a message of the run was last pushed.
        number_base: a message's number is this, with its count in the lower bits.
        wall_ns: turns the journal's monotonic time into Unix time.
    """

    def __init__(self, plan: EnginePlan, journal: ColumnWriter) -> None:
        self.plan = plan
        self.journal = journal
        self.figures = Figures()
        self.count = 0
        self.open_sends = 0
        self.begin: dict[str, int] = {}
        self.lane_acked: list[int] = []
        self.lanes_of: dict[str, list[int]] = {}
        self.unsure: set[int] = set()
        self.pushed_ns = 0
        self.number_base = plan.worker << WORKER_SHIFT
        self.ack_deadline_ns = round(plan.ack_deadline_s * 1e9)
        self.wall_ns = journal.header.time_ns - journal.header.monotonic_ns

    def lane(self, user: int, conversation: int, conversation_id: str) -> int:
        """The lane of one sender in one conversation; its acknowledged sends are counted from now on."""
        lane = self.journal.lane(user, conversation)
        self.lane_acked += [0] * (lane + 1 - len(self.lane_acked))
        self.lanes_of.setdefault(conversation_id, []).append(lane)
        return lane

    def acked_in(self, conversation: str) -> int:
        """How many sends to this conversation were acknowledged."""
        return sum(self.lane_acked[lane] for lane in self.lanes_of.get(conversation, ()))
