"""Load on OpenIM by canary users, over its WebSocket or its REST API.

    locust -f load/locustfile.py --transport ws --host http://127.0.0.1:10002 --ws-url ws://127.0.0.1:10001 --headless -u 20 -t 30s
    locust -f load/locustfile.py --host http://127.0.0.1:10002 --headless -u 20 -r 10 -t 30s
    locust -f load/locustfile.py --profile stack.toml                        (web UI on http://localhost:8089)

OPENIM_SECRET and OPENIM_ADMIN are the credentials. Every message is recorded in `reports/out/load-<run>-<worker>.columns`
and judged when the run ends. Exit code: 0 all accounted for, 1 violated, 2 inconclusive, 3 usage.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import gevent
from gevent.lock import RLock
from locust import events
from locust.env import Environment
from locust.runners import Runner

from load.config import SettingsError, add_options
from load.session import LoadSession, refuse
from load.users.rest import RestUser
from load.users.websocket import WebSocketUser

__all__ = ["RestUser", "WebSocketUser"]

# One line for each call or connection would hide everything else.
for _name in ("httpx", "picows"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def prepare(environment: Environment, **_: Any) -> None:
    """Refuse a run that cannot or must not start, before any user exists."""
    if environment.stop_timeout == 0:
        # The outcome of a send that is interrupted is unknown; let it finish.
        environment.stop_timeout = 10
    options = environment.parsed_options
    session = LoadSession(environment)
    session.listen()
    if environment.runner is not None:
        _serialise_stop(environment.runner)
    if options is not None:
        environment.user_classes = [WebSocketUser if options.transport == "ws" else RestUser]
    if options is None or (environment.web_ui is not None and not environment.host):
        # The web UI asks for the host, which is checked at the start of the run.
        return
    try:
        session.config()
    except SettingsError as error:
        sys.exit(refuse(error))
    # The hub's clock is not updated while modules load, and `--run-time` counts from it: a run ended half a second early.
    gevent.get_hub().loop.update_now()


def _serialise_stop(runner: Runner) -> None:
    """Let a second `stop` wait for the first. Without this, a run whose time ends while it is aborted would end the
    process before it is judged."""
    stop, lock = runner.stop, RLock()

    def one_at_a_time(*arguments: Any, **named: Any) -> None:
        with lock:
            stop(*arguments, **named)

    runner.stop = one_at_a_time  # type: ignore[method-assign]


_events: Any = events
_events.init_command_line_parser.add_listener(add_options)
_events.init.add_listener(prepare)
