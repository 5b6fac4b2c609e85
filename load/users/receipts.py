"""Read receipts: users mark over REST, each with its own token, what was pushed to them as read."""

from __future__ import annotations

import random
import uuid
from typing import Final

from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from load.engine.engine import LoadEngine
from load.journal.layout import phase_number
from load.users.answers import read_answer

ROUTE: Final = "/msg/mark_conversation_as_read"
_CONCURRENT_CALLS: Final = 100
_CONNECT_S: Final = 10.0
_TIMEOUT_S: Final = 20.0


class ReadReceipts:
    """The read receipts of one process's users, over shared connections; outcomes are recorded in the engine's journal."""

    def __init__(self, api_url: str, engine: LoadEngine, environment: Environment, *, every_s: float) -> None:
        self._url, self._engine, self._every_s = api_url + ROUTE, engine, every_s
        self._http = FastHttpSession(
            base_url=api_url,
            request_event=environment.events.request,
            user=None,
            insecure=False,
            concurrency=_CONCURRENT_CALLS,
            connection_timeout=_CONNECT_S,
            network_timeout=_TIMEOUT_S,
            # A repeated call is a second mark, and a redirect could lead to a host that was not checked.
            max_retries=0,
            max_redirects=0,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.client.close()

    def pause_s(self) -> float:
        """Seconds until a user's next mark: the period, varied by half, so that users are not synchronised."""
        return self._every_s * random.uniform(0.5, 1.5)  # noqa: S311 - no secret

    def mark(self, user_id: str, token: str) -> None:
        """Mark as read what was pushed to this user since its last mark, if anything was."""
        if (unread := self._engine.unread(user_id)) is None:
            return
        conversation, seq = unread
        with self._http.request(
            "POST",
            self._url,
            json={"userID": user_id, "conversationID": conversation, "hasReadSeq": seq, "seqs": []},
            headers={"operationID": uuid.uuid4().hex, "token": token},
            name="mark_conversation_as_read",
            catch_response=True,
        ) as answer:
            outcome = read_answer(answer)
        self._engine.marked(user_id, conversation, seq, phase_number(outcome.phase), outcome.err_code)
