"""REST users: canaries that send at fixed times, to their peer or to many receivers; every message is recorded."""

from __future__ import annotations

import logging
import random
import time
from typing import Any

import gevent
import httpx
from locust import FastHttpUser, task
from locust.exception import StopUser

from fixtures.clients.openim_calls import OpenIMError
from load.engine.arrival import Pace
from load.target import LoadConfig
from load.users.answers import CallOutcome, read_answer
from load.users.openim import BATCH_SEND_MSG, SEND_MSG, OpenIMApi, conversation_id, send_body
from load.users.pairs import Batches, Pairs
from load.users.recorder import Conversation, RunRecorder, journal_path
from verifier.judges.journal import JournalError
from verifier.judges.operation import OpPhase

_log = logging.getLogger(__name__)


class RestRun:
    """What the REST users of one process share during one run. `broken`: the journal cannot be written any more."""

    def __init__(self, config: LoadConfig, *, run_id: str, worker: int, workers: int) -> None:
        """Open the journal. Raises JournalError."""
        self.config = config
        self.path = journal_path(config.options.out_dir, run_id, worker)
        self.recorder = RunRecorder(self.path, run_id=run_id, worker=worker, stack=config.stack, text=config.text)
        self.api = OpenIMApi(config.api_url, secret=config.secret, admin_user_id=config.admin_user_id)
        self._pairs = Pairs(config, worker=worker, workers=workers)
        self._batches = Batches(config, worker=worker, workers=workers)
        self.broken = False

    def take(self) -> tuple[str, tuple[str, ...]] | None:
        """(own id, receivers' ids) for one more user; None when all canaries are in use."""
        if self.config.traffic.batch:
            return self._batches.take()
        pair = self._pairs.take()
        return (pair[0], pair[1:]) if pair else None

    def finish(self) -> None:
        """Read everything back and close the journal. Raises JournalError."""
        traffic = self.config.traffic
        try:
            self.recorder.read_all_back(
                self.api, settle_s=traffic.settle_s, quiet_s=traffic.quiet_s, deadline_s=traffic.drain_deadline_s
            )
            self.recorder.close()
        finally:
            self.api.close()


class RestUser(FastHttpUser):
    """Sends through `/msg/send_msg` or `/msg/batch_send_msg`, as an administrator on behalf of a canary."""

    # A repeated send is a second message, and a redirect could lead to a host that was not checked.
    max_retries = 0
    max_redirects = 0
    insecure = False
    connection_timeout = 10.0
    network_timeout = 20.0

    current: RestRun | None = None

    def on_start(self) -> None:
        """Take a canary and its receivers, register them, and note the newest seq of their conversations."""
        run, taken = self.current, self.current.take() if self.current else None
        if run is None or taken is None:
            raise StopUser
        self._run, (self._me, receivers) = run, taken
        names = {conversation_id(self._me, receiver): receiver for receiver in receivers}
        try:
            run.api.ensure_registered((self._me, *receivers))
            newest = run.api.max_seqs(self._me, list(names))
        except (OpenIMError, httpx.HTTPError) as error:
            self._report("prepare", error)
            raise StopUser from error
        self._conversations: dict[str, Conversation] = {
            receiver: run.recorder.open_conversation(name, (self._me, receiver), newest[name], copy=copy)
            for copy, (name, receiver) in enumerate(names.items())
        }
        rng = random.Random()  # noqa: S311 - arrival times, no secret
        self._pace = Pace(run.config.due_s(rng) or iter(()), time.monotonic())

    def wait_time(self) -> float:
        """Seconds until the next message is due."""
        return self._pace.wait_s(time.monotonic())

    @task
    def send(self) -> None:
        """Send the message that is due."""
        try:
            self._send_one()
        except JournalError as error:
            # The rest of the run could not be accounted for.
            if not self._run.broken:
                self._run.broken = True
                _log.error("%s", error)
                # Not from this greenlet, which ends with the run.
                gevent.spawn(self.environment.runner.quit)
            gevent.sleep(1)

    def _send_one(self) -> None:
        # A stop that coincides with the end of the wait is delivered here, and not during a request.
        gevent.sleep(0)
        late_s = self._pace.take(time.monotonic())
        run = self._run
        recorder, batch = run.recorder, bool(run.config.traffic.batch)
        try:
            headers = run.api.headers()
        except (OpenIMError, httpx.HTTPError) as error:
            self._report("get_admin_token", error)
            return
        chats = self._conversations
        ex, numbers = recorder.begin_send(self._me, list(chats.values()), late_s=late_s, batch=batch)
        to: Any = list(chats) if batch else next(iter(chats))
        name = BATCH_SEND_MSG if batch else SEND_MSG
        with self.client.post(
            # Not relative to `host`, which the web UI can change during a run without a check.
            f"{run.config.api_url}/msg/{name}",
            json=send_body(self._me, to, run.config.text, ex),
            headers=headers,
            name=name,
            catch_response=True,
        ) as answer:
            outcome = read_answer(answer)
            ids = _message_ids(outcome, to)
            if outcome.phase is OpPhase.OK and len(ids) < len(chats):
                answer.failure(f"{len(chats) - len(ids)} of {len(chats)} copies are not in the answer's results")
        for (receiver, chat), number in zip(chats.items(), numbers, strict=True):
            # A copy in failedUserIDs may have failed after it was queued: no code says why [F62].
            phase = OpPhase.INFO if outcome.phase is OpPhase.OK and receiver not in ids else outcome.phase
            recorder.end_send(
                self._me, chat, number, phase, message_id=ids.get(receiver, ""), err_code=outcome.err_code
            )

    def _report(self, name: str, error: Exception) -> None:
        self.environment.events.request.fire(
            request_type="POST", name=name, response_time=0.0, response_length=0, exception=error, context={}
        )


def _message_ids(outcome: CallOutcome, to: str | list[str]) -> dict[str, str]:
    """OpenIM's ids of the messages that it accepted, by receiver."""
    if outcome.phase is not OpPhase.OK:
        return {}
    if isinstance(to, str):
        return {to: str(outcome.data.get("serverMsgID", ""))}
    return {str(row["recvID"]): str(row.get("serverMsgID", "")) for row in outcome.data.get("results") or ()}
