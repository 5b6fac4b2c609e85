"""Users say what they have read, as clients do: over REST, each with its own token, up to the newest message that was pushed to it."""

from __future__ import annotations

import random
import uuid
from typing import Final

from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from load.engine.engine import Engine
from load.journal.layout import phase_number
from load.users.answers import read_answer

ROUTE: Final = "/msg/mark_conversation_as_read"
_AT_ONCE: Final = 100
_CONNECT_S: Final = 10.0
_WITHIN_S: Final = 20.0


class Receipts:
    """The marks of one process's users. They share connections; what was answered goes into the engine's journal."""

    def __init__(self, api_url: str, engine: Engine, environment: Environment, *, every_s: float) -> None:
        self._url, self._engine, self._every_s = api_url + ROUTE, engine, every_s
        self._http = FastHttpSession(
            base_url=api_url,
            request_event=environment.events.request,
            user=None,
            insecure=False,
            concurrency=_AT_ONCE,
            connection_timeout=_CONNECT_S,
            network_timeout=_WITHIN_S,
            # A repeated call is a second mark, and a redirect could lead to a host that the guard never saw.
            max_retries=0,
            max_redirects=0,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.client.close()

    def pause_s(self) -> float:
        """Until a user's next mark: the period, give or take a half, so that users do not march in step."""
        return self._every_s * random.uniform(0.5, 1.5)  # noqa: S311 - no secret

    def mark(self, user_id: str, token: str) -> None:
        """Mark as read what this user got since its last mark; nothing where nothing came."""
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
            told = read_answer(answer)
        self._engine.marked(user_id, conversation, seq, phase_number(told.phase), told.err_code)
