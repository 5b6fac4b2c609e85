"""The allow-list for Redis commands, enforced by connections where they pack each command for sending."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ResponseError

from verifier.stores.errors import Forbidden

# Command -> allowed first arguments (None = any).
READ_COMMANDS: dict[str, frozenset[str] | None] = {
    "PING": None, "TIME": None, "DBSIZE": None, "INFO": None, "ROLE": None,
    "SCAN": None, "HSCAN": None, "SSCAN": None, "ZSCAN": None, "TYPE": None, "EXISTS": None, "TTL": None, "PTTL": None,
    "GET": None, "MGET": None, "STRLEN": None, "HGETALL": None, "HGET": None, "HMGET": None, "HKEYS": None, "HLEN": None,
    "SMEMBERS": None, "SCARD": None, "LLEN": None, "LRANGE": None, "ZRANGE": None, "ZCARD": None,
    "OBJECT": frozenset({"IDLETIME", "FREQ", "ENCODING"}),
    "PUBSUB": None, "SUBSCRIBE": None, "PSUBSCRIBE": None, "SSUBSCRIBE": None,
    "UNSUBSCRIBE": None, "PUNSUBSCRIBE": None, "SUNSUBSCRIBE": None,
    "CLIENT": frozenset({"LIST", "ID", "INFO", "NO-TOUCH", "SETNAME", "SETINFO"}),
    "CONFIG": frozenset({"GET"}),
    "ACL": frozenset({"WHOAMI", "DRYRUN", "GETUSER"}),
    "CLUSTER": frozenset({"SLOTS", "SHARDS", "NODES", "INFO", "KEYSLOT", "MYID"}),
    "SENTINEL": frozenset({"GET-MASTER-ADDR-BY-NAME", "MASTERS", "MASTER", "REPLICAS", "SLAVES", "SENTINELS"}),
    "COMMAND": None,
    "AUTH": None, "HELLO": None, "SELECT": None, "READONLY": None, "QUIT": None, "ASKING": None,
}  # fmt: skip


def require_read_command(arguments: tuple[Any, ...]) -> None:
    """Raise Forbidden unless the command is on the list. `KEYS`, `MONITOR`, `CONFIG SET` and every write are not."""
    words = [_word(argument) for argument in arguments[:2]]
    name, _, joined = words[0].partition(" ")  # the driver writes some commands as one word: "CLIENT SETINFO"
    first = joined or (words[1] if len(words) > 1 else "")
    if name not in READ_COMMANDS:
        raise Forbidden(f"refused the Redis command {name}: it is not on the list of commands that only read")
    allowed = READ_COMMANDS[name]
    if allowed is not None and first not in allowed:
        raise Forbidden(f"refused the Redis command {name} {first}: only {name} {', '.join(sorted(allowed))} only read")


def _word(argument: Any) -> str:
    text = argument.decode("utf-8", "replace") if isinstance(argument, bytes) else str(argument)
    return text.upper()


@dataclass(slots=True)
class Greeting:
    """What connections sent when they were set up: `sent` is called with each command; `no_touch`: whether the server
    accepted it; `name`: how the connections are named in CLIENT LIST."""

    sent: Callable[[str], None] = lambda name: None
    no_touch: bool | None = None
    name: str | None = None


class Guarded(AbstractConnection):
    """A connection that packs allowed commands only. Where the server supports it, its reads do not change idle times."""

    def __init__(self, *args: Any, greeting: Greeting | None = None, **options: Any) -> None:
        self._greeting = greeting or Greeting()
        self._greets = False
        super().__init__(*args, **options)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Set up the connection; the pool calls it for each one, replacements of broken ones included."""
        self._greets = True
        try:
            await super().on_connect_check_health(check_health=check_health)
            if self._greeting.name:
                await self._optional("CLIENT", "SETNAME", self._greeting.name)
            self._greeting.no_touch = await self._optional("CLIENT", "NO-TOUCH", "ON")
        finally:
            self._greets = False

    async def _optional(self, *command: str) -> bool:
        """Send a command that an older server does not have, or that an ACL or a renaming may forbid."""
        await self.send_command(*command, check_health=False)
        try:
            await self.read_response()
        except ResponseError:
            return False
        return True

    def pack_command(self, *args: Any) -> list[bytes]:
        """Pack one command. Pipelines call this for each of their commands."""
        require_read_command(args)
        if self._greets:
            self._greeting.sent(_word(args[0]))
        return super().pack_command(*args)


class GuardedConnection(Guarded, Connection):
    """The same over TCP."""


class GuardedTLSConnection(Guarded, SSLConnection):
    """The same over TLS."""


class GuardedUnixConnection(Guarded, UnixDomainSocketConnection):
    """The same over a unix socket."""
