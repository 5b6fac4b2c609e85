"""WebSocket users of a load run: locust starts and stops them, the engine does what they do."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence

import gevent
import httpx
from gevent.lock import BoundedSemaphore
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from fixtures.clients.gateway import GatewayError, Session
from fixtures.clients.openim_calls import OpenIMError
from load.engine.engine import Engine
from load.engine.frames import SINGLE, Peer
from load.engine.plan import Address, EnginePlan, Target, UserPlan
from load.journal.writer import ColumnWriter
from load.settings import Settings
from load.users.group_assignment import GroupSeats, MixedSeats, PairSeats, Seating
from load.users.openim import WEB, OpenIMApi, conversation_id
from load.users.pairs import Pairs
from load.users.receipts import Receipts
from load.users.recorder import journal_path
from load.users.sign_in import direct, sign_in, through_gateway

_READY_WITHIN_S = 30.0
_POLL_S = 0.1
_IDLE_S = 1.0
_IN_GROUPS = 500_000
"""The number of the first canary in a group, where others are in pairs."""
_FILL = "canary "
_log = logging.getLogger(__name__)


class ChatRun:
    """What the users of one process share during one run: settings, engine, API, and whose turn it is."""

    def __init__(self, settings: Settings, environment: Environment, *, run_id: str, worker: int, workers: int) -> None:
        self.settings = settings
        self.worker = worker
        text = (_FILL * (settings.text_bytes // len(_FILL) + 1))[: settings.text_bytes]
        self.plan = EnginePlan(
            run_id=run_id,
            worker=worker,
            text=text,
            platform_id=WEB,
            sdk_type=settings.sdk_type,
            gzipped=settings.gzipped,
            window=settings.window,
            think_s=settings.think_s,
            outage_every_s=settings.outage_every_s,
            outage_share=settings.outage_share,
            outage_s=settings.outage_s,
            outage_slow=settings.outage_slow,
        )
        self.path = journal_path(settings.out_dir, run_id, worker).with_suffix(".columns")
        journal = ColumnWriter(
            self.path,
            run_id=run_id,
            stack=settings.stack,
            worker=worker,
            digest=self.plan.digest,
            warm_up_s=self.plan.warm_up_s,
        )
        self.engine = Engine(self.plan, journal)
        self.api = OpenIMApi(settings.api_url, secret=settings.secret, admin_user_id=settings.admin_user_id)
        self.seats = self._seating(run_id, worker, workers)
        self.tokens: dict[str, str] = {}
        self.receipts: Receipts | None = None
        if settings.receipts_every_s:
            self.receipts = Receipts(settings.api_url, self.engine, environment, every_s=settings.receipts_every_s)
        self._signed_in: dict[str, Session] = {}
        self._signing_in = BoundedSemaphore()
        self.engine.start(gevent.get_hub().threadpool.spawn)

    def _seating(self, run_id: str, worker: int, workers: int) -> Seating:
        settings, add = self.settings, self.engine.add
        pairs = PairSeats(Pairs(settings, worker=worker, workers=workers), self.prepare, add)
        if settings.scenario == "pairs":
            return pairs
        groups = GroupSeats(
            settings,
            self.api,
            self._by_token,
            add,
            run_id=run_id,
            worker=worker,
            workers=workers,
            first=0 if settings.scenario == "groups" else _IN_GROUPS,
        )
        return groups if settings.scenario == "groups" else MixedSeats(pairs, groups, settings.group_share)

    def prepare(self, me: str, peer: str) -> UserPlan:
        """Register or sign in one of a pair, and say how it connects and writes.

        Raises OpenIMError, GatewayError and httpx.HTTPError.
        """
        settings = self.settings
        if not settings.gateway_url:
            self.api.ensure_registered((me, peer))
            return self._by_token(me, [_pair(me, peer)])
        sessions = self._sessions(me, peer)
        me, peer = (session.user_id.hex for session in sessions)
        address = through_gateway(sessions[0], sdk_type=settings.sdk_type, gzipped=settings.gzipped)
        return self._plan(me, address, [_pair(me, peer)])

    def _by_token(self, me: str, targets: Sequence[Target]) -> UserPlan:
        settings = self.settings
        token = self.tokens[me] = self.api.user_token(me, WEB)
        address = direct(
            settings.ws_url,
            user_id=me,
            token=token,
            platform_id=WEB,
            sdk_type=settings.sdk_type,
            gzipped=settings.gzipped,
        )
        return self._plan(me, address, targets)

    def _plan(self, me: str, address: Address, targets: Sequence[Target]) -> UserPlan:
        due_s = self.settings.due_s(random.Random())  # noqa: S311 - arrival times, no secret
        return UserPlan(user_id=me, address=address, targets=targets, due_s=due_s)

    def _sessions(self, *phones: str) -> list[Session]:
        """The sessions of these phone numbers; each signs in once, as another session would end the first."""
        # One at a time: both of a pair come at once, and a second session would end the first.
        with self._signing_in:
            new = [phone for phone in phones if phone not in self._signed_in]
            if new:
                # Its event loop must not run among greenlets.
                found = gevent.get_hub().threadpool.apply(
                    sign_in, (self.settings.gateway_url, new), {"platform_id": WEB}
                )
                self._signed_in |= dict(zip(new, found, strict=True))
        return [self._signed_in[phone] for phone in phones]

    def finish(self) -> None:
        """Read everything back and close the journal. Raises JournalError and TimeoutError."""
        settings = self.settings
        limit_s = settings.settle_s + settings.read_deadline_s + 600
        self.engine.finish(settle_s=settings.settle_s, deadline_s=settings.read_deadline_s).wait(gevent.sleep, limit_s)
        self.api.close()
        if self.receipts is not None:
            self.receipts.close()


def _pair(me: str, peer: str) -> Target:
    members = tuple(sorted((me, peer)))
    return Target(peer=Peer(SINGLE, peer), conversation=conversation_id(me, peer), members=members)


class CanaryChatter(User):
    """A canary on OpenIM's WebSocket who writes to its peer and is written to."""

    current: ChatRun | None = None

    def on_start(self) -> None:
        """Take a seat, see that everybody there is known, let the engine connect them."""
        run = self.current
        if run is None:
            raise StopUser
        self._run = run
        try:
            if (me := run.seats.take()) is None:
                raise StopUser
            self._me = me
            if self._seated(run, me):
                return
        except (OpenIMError, GatewayError, httpx.HTTPError) as error:
            self._report(error)
            raise StopUser from error
        self._report(TimeoutError(f"not connected within {_READY_WITHIN_S:.0f} s; the failures say why"))

    def _seated(self, run: ChatRun, me: str) -> bool:
        """Wait until this user is connected and warm; False where that takes too long."""
        left_s = _READY_WITHIN_S
        while left_s > 0:
            if run.engine.is_ready(me):
                return True
            gevent.sleep(_POLL_S)
            place = run.seats.place_of(me)
            if place == "alone":
                _log.warning("%s stays out: it is alone in the last group. Choose users to fit the groups.", me)
                raise StopUser
            # Whoever waits for company is not late.
            left_s -= _POLL_S if place == "seated" else 0
        return False

    def on_stop(self) -> None:
        """Send no more; the connection stays until everything is read back."""
        if (me := getattr(self, "_me", None)) is not None:
            self._run.engine.pause(me)

    def wait_time(self) -> float:
        """Until this user says again what it has read; the engine does everything else."""
        return _IDLE_S if self._run.receipts is None else self._run.receipts.pause_s()

    @task
    def read(self) -> None:
        """Mark as read what came, where that is asked for."""
        if self._run.receipts is not None:
            self._run.receipts.mark(self._me, self._run.tokens[self._me])

    def _report(self, error: Exception) -> None:
        self.environment.events.request.fire(
            request_type="WS", name="prepare", response_time=0.0, response_length=0, exception=error, context={}
        )
