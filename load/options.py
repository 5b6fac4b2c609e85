"""The options of the locustfile, on the command line and in the web UI."""

from __future__ import annotations

from typing import Any

from locust.argument_parser import LocustArgumentParser

from load.monitoring.abort import AFTER_S
from load.monitoring.generator_health import LATE_MOST_MS
from load.settings import OUT_DIR, SCENARIOS
from load.users.arrival import MODELS


def add_options(parser: LocustArgumentParser, **_: Any) -> None:
    """The options of this locustfile, on the command line and in the web UI."""
    # `--profile` is locust's own name for a label of the run; ours is a path, and stands in the same place.
    hidden: dict[str, Any] = {"include_in_web_ui": False}
    parser.add_argument("--openim-admin", env_var="OPENIM_ADMIN", default="", help="admin id for load alone", **hidden)
    parser.add_argument("--openim-secret", env_var="OPENIM_SECRET", default="", help="OpenIM's share.secret", **hidden)
    parser.add_argument("--transport", choices=("ws", "rest"), default="rest", help="how messages travel", **hidden)
    parser.add_argument("--ws-url", default="", help="OpenIM's WebSocket gateway, for --transport ws", **hidden)
    parser.add_argument(
        "--via", choices=("token", "gateway"), default="token", help="how --transport ws gets in", **hidden
    )
    parser.add_argument("--sdk-type", choices=("js", "go"), default="js", help="JSON or gob envelopes", **hidden)
    parser.add_argument("--gzip", action="store_true", help="compress every frame", **hidden)
    parser.add_argument("--window", type=int, default=16, help="Unanswered sends of one connection, at most")
    parser.add_argument("--think-s", type=float, default=0.0, help="Pause after an answer, with --arrivals closed")
    parser.add_argument("--rate", type=float, default=1.0, help="Messages per second and user")
    parser.add_argument("--arrivals", choices=MODELS, default="even", help="How messages follow one another")
    parser.add_argument(
        "--ramp-from", type=float, default=0.0, help="First rate of --arrivals ramp, which goes to --rate"
    )
    parser.add_argument("--ramp-s", type=float, default=60.0, help="How long the ramp takes")
    parser.add_argument("--trace", default="", help="recorded due times for --arrivals trace, seconds a line", **hidden)
    parser.add_argument("--text-bytes", type=int, default=64, help="Size of a message's text")
    parser.add_argument("--settle-s", type=float, default=2.0, help="Seconds until an acknowledged message is readable")
    parser.add_argument("--read-deadline-s", type=float, default=30.0, help="Seconds to wait for the last messages")
    parser.add_argument(
        "--late-most-ms", type=float, default=LATE_MOST_MS, help="Lateness (p99) that makes a run inconclusive"
    )
    parser.add_argument("--scenario", choices=SCENARIOS, default="pairs", help="Whom a user writes to", **hidden)
    parser.add_argument("--group-size", type=int, default=100, help="Members of each group of --scenario groups")
    parser.add_argument(
        "--group-connected",
        type=int,
        default=0,
        help="How many of them connect and write (0: all); the others never do",
    )
    parser.add_argument(
        "--group-share", type=float, default=0.3, help="Share of the users in groups, with --scenario mixed"
    )
    parser.add_argument("--outage-every-s", type=float, default=0.0, help="Connections end every so often (0: never)")
    parser.add_argument("--outage-share", type=float, default=1.0, help="Of how many users, 0 to 1")
    parser.add_argument(
        "--outage-s",
        type=float,
        default=0.0,
        help="How long they stay away, to read what they missed when they are back; 0: cut off without a word, they storm back",
    )
    parser.add_argument(
        "--outage-slow",
        action="store_true",
        help="They keep their connection and read nothing for --outage-s",
        **hidden,
    )
    parser.add_argument(
        "--batch", type=int, default=0, help="Receivers of each message, with --transport rest (0: one, by send_msg)"
    )
    parser.add_argument(
        "--receipts-every-s", type=float, default=0.0, help="Each user marks what it got as read so often (0: never)"
    )
    parser.add_argument(
        "--abort-after-s", type=float, default=AFTER_S, help="End the run when a limit was broken for so long"
    )
    parser.add_argument(
        "--abort-error-share-most", type=float, help="Limit: share of refused or unanswered sends, 0 to 1"
    )
    parser.add_argument("--abort-send-p99-ms", type=float, help="Limit: 99 of 100 answers of a second within so long")
    parser.add_argument("--abort-backlog-most", type=float, help="Limit: due messages that wait")
    parser.add_argument(
        "--no-verify", action="store_true", help="with --profile: do not run the verifier after the load", **hidden
    )
    parser.add_argument("--out-dir", default=str(OUT_DIR), help="where journals and reports go", **hidden)
