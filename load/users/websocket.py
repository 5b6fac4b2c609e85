"""WebSocket users: locust starts and stops them, the engine does their work."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Final

import gevent
import httpx
from gevent.lock import BoundedSemaphore
from locust import User, task
from locust.env import Environment
from locust.exception import StopUser

from fixtures.clients.gateway import GatewayError, Session
from fixtures.clients.openim_calls import OpenIMError
from load.engine.engine import LoadEngine, wait_for
from load.engine.frames import SINGLE, Peer
from load.engine.plan import Address, EnginePlan, Target, UserPlan
from load.journal.writer import ColumnWriter
from load.target import LoadConfig
from load.users.group_assignment import Assignment, GroupAssignment, MixedAssignment, PairAssignment
from load.users.openim import WEB, OpenIMApi, conversation_id
from load.users.pairs import Pairs
from load.users.receipts import ReadReceipts
from load.users.recorder import journal_path
from load.users.sign_in import direct, sign_in, through_gateway

_READY_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.1
_IDLE_S: Final = 1.0
_FINISH_MAX_S: Final = 600
_REPORT_EVERY_S: Final = 5.0
_IN_GROUPS: Final = 500_000
"""The number of the first canary in a group, where others are in pairs."""
_log = logging.getLogger(__name__)


class WebSocketRun:
    """What the WebSocket users of one process share during one run: configuration, engine, API, and group assignment."""

    def __init__(self, config: LoadConfig, environment: Environment, *, run_id: str, worker: int, workers: int) -> None:
        """Open the journal and start the engine. Raises JournalError."""
        self.config = config
        plan = EnginePlan(run_id=run_id, worker=worker, text=config.text, traffic=config.traffic, platform_id=WEB)
        self.path = journal_path(config.options.out_dir, run_id, worker)
        journal = ColumnWriter(
            self.path,
            run_id=run_id,
            stack=config.stack,
            worker=worker,
            digest=plan.digest,
            warm_up_s=plan.warm_up_s,
        )
        self.engine = LoadEngine(plan, journal)
        self.api = OpenIMApi(config.api_url, secret=config.secret, admin_user_id=config.admin_user_id)
        self.assignment = self._assignment(run_id, worker, workers)
        self.tokens: dict[str, str] = {}
        self.receipts: ReadReceipts | None = None
        if every_s := config.traffic.receipts_every_s:
            self.receipts = ReadReceipts(config.api_url, self.engine, environment, every_s=every_s)
        self._signed_in: dict[str, Session] = {}
        self._signing_in = BoundedSemaphore()
        self._registering: dict[frozenset[str], BoundedSemaphore] = {}
        self._registered: set[frozenset[str]] = set()
        self.engine.start(gevent.get_hub().threadpool.spawn)

    def _assignment(self, run_id: str, worker: int, workers: int) -> Assignment:
        config, add = self.config, self.engine.add
        scenario = config.traffic.scenario
        pairs = PairAssignment(Pairs(config, worker=worker, workers=workers), self.prepare, add)
        if scenario == "pairs":
            return pairs
        groups = GroupAssignment(
            config,
            self.api,
            self._by_token,
            add,
            run_id=run_id,
            worker=worker,
            workers=workers,
            first=0 if scenario == "groups" else _IN_GROUPS,
        )
        return groups if scenario == "groups" else MixedAssignment(pairs, groups, config.traffic.group_share)

    def prepare(self, me: str, peer: str) -> UserPlan:
        """Register or sign in one of a pair, and return its plan.

        Raises OpenIMError, GatewayError and httpx.HTTPError.
        """
        config = self.config
        if not config.gateway_url:
            self._register_once(me, peer)
            return self._by_token(me, [_pair(me, peer)])
        sessions = self._sessions(me, peer)
        me, peer = (session.user_id.hex for session in sessions)
        address = through_gateway(sessions[0], sdk_type=config.traffic.sdk_type, gzipped=config.traffic.gzip)
        return self._plan(me, address, [_pair(me, peer)])

    def _register_once(self, *pair: str) -> None:
        """Both of a pair arrive at once: the first one registers both, before either of them connects."""
        names = frozenset(pair)
        with self._registering.setdefault(names, BoundedSemaphore()):
            if names not in self._registered:
                self.api.ensure_registered(pair)
                self._registered.add(names)

    def _by_token(self, me: str, targets: Sequence[Target]) -> UserPlan:
        config = self.config
        token = self.tokens[me] = self.api.user_token(me, WEB)
        address = direct(
            config.ws_url,
            user_id=me,
            token=token,
            platform_id=WEB,
            sdk_type=config.traffic.sdk_type,
            gzipped=config.traffic.gzip,
        )
        return self._plan(me, address, targets)

    def _plan(self, me: str, address: Address, targets: Sequence[Target]) -> UserPlan:
        due_s = self.config.due_s(random.Random())  # noqa: S311 - arrival times, no secret
        return UserPlan(user_id=me, address=address, targets=targets, due_s=due_s)

    def _sessions(self, *phones: str) -> list[Session]:
        """The sessions of these phone numbers. Each number signs in once: a second session would end the first."""
        # One pair at a time: both of a pair arrive at once and would sign in twice.
        with self._signing_in:
            new = [phone for phone in phones if phone not in self._signed_in]
            if new:
                # Its event loop must not run among greenlets.
                found = gevent.get_hub().threadpool.apply(sign_in, (self.config.gateway_url, new), {"platform_id": WEB})
                self._signed_in |= dict(zip(new, found, strict=True))
        return [self._signed_in[phone] for phone in phones]

    def _report_draining(self) -> None:
        while True:
            gevent.sleep(_REPORT_EVERY_S)
            if self.engine.draining is not None:
                _log.info("%s", self.engine.draining)

    def finish(self) -> None:
        """Read everything back and close the journal. Raises JournalError and TimeoutError."""
        traffic = self.config.traffic
        limit_s = traffic.settle_s + traffic.quiet_s + traffic.drain_deadline_s + _FINISH_MAX_S
        finished = self.engine.finish(
            settle_s=traffic.settle_s, quiet_s=traffic.quiet_s, deadline_s=traffic.drain_deadline_s
        )
        reporting = gevent.spawn(self._report_draining)
        try:
            wait_for(finished, gevent.sleep, limit_s)
        finally:
            reporting.kill()
        self.api.close()
        if self.receipts is not None:
            self.receipts.close()


def _pair(me: str, peer: str) -> Target:
    members = tuple(sorted((me, peer)))
    return Target(peer=Peer(SINGLE, peer), conversation=conversation_id(me, peer), members=members)


class WebSocketUser(User):
    """A canary that sends and receives over OpenIM's WebSocket."""

    current: WebSocketRun | None = None

    def on_start(self) -> None:
        """Have the user assigned and connected; returns when it is ready."""
        run = self.current
        if run is None:
            raise StopUser
        self._run = run
        try:
            if (me := run.assignment.add_user()) is None:
                raise StopUser
            self._me = me
            if self._ready(run, me):
                return
        except (OpenIMError, GatewayError, httpx.HTTPError) as error:
            self._report(error)
            raise StopUser from error
        self._report(TimeoutError(f"not connected within {_READY_WITHIN_S:.0f} s; see the failures"))

    def _ready(self, run: WebSocketRun, me: str) -> bool:
        """Wait until this user is connected and warmed up; False if that takes too long."""
        left_s = _READY_WITHIN_S
        while left_s > 0:
            if run.engine.is_ready(me):
                return True
            gevent.sleep(_POLL_S)
            status = run.assignment.status_of(me)
            if status == "alone":
                _log.warning(
                    "%s does not take part: it is the only user of the last group. Choose a number of users that fits "
                    "the groups.",
                    me,
                )
                raise StopUser
            # Waiting for other members does not count.
            left_s -= _POLL_S if status == "assigned" else 0
        return False

    def on_stop(self) -> None:
        """Send no more; the connection stays open until everything is read back."""
        if (me := getattr(self, "_me", None)) is not None:
            self._run.engine.pause(me)

    def wait_time(self) -> float:
        """Seconds until this user's next read receipt; the engine does everything else."""
        return _IDLE_S if self._run.receipts is None else self._run.receipts.pause_s()

    @task
    def read(self) -> None:
        """Send a read receipt, with --receipts-every-s."""
        if self._run.receipts is not None:
            self._run.receipts.mark(self._me, self._run.tokens[self._me])

    def _report(self, error: Exception) -> None:
        self.environment.events.request.fire(
            request_type="WS", name="prepare", response_time=0.0, response_length=0, exception=error, context={}
        )
