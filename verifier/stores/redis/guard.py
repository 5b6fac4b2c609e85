"""The allow-list for Redis commands, and connections that enforce it where every command is packed for the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import ResponseError

from verifier.stores.errors import Forbidden

# Command -> allowed first arguments (None = any). Connection set-up is in the second table.
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
    "ACL": frozenset({"WHOAMI", "DRYRUN"}),
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
    """What happened when connections were set up: the commands that it took, and whether the server took NO-TOUCH."""

    sent: Callable[[str], None] = lambda name: None
    no_touch: bool | None = None


class GuardedConnection(Connection):
    """A connection that packs allowed commands only, and whose reads do not count as use of a key where the server knows how."""

    def __init__(self, *args: Any, greeting: Greeting | None = None, **options: Any) -> None:
        self._greeting = greeting or Greeting()
        self._greets = False
        super().__init__(*args, **options)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Set up the connection: every one of the pool, also one that replaces a broken one."""
        self._greets = True
        try:
            await super().on_connect_check_health(check_health=check_health)
            await self.send_command("CLIENT", "NO-TOUCH", "ON", check_health=False)
            try:
                await self.read_response()
                self._greeting.no_touch = True
            except ResponseError:  # before 7.2 there is no such command, and an ACL may withhold it
                self._greeting.no_touch = False
        finally:
            self._greets = False

    def pack_command(self, *args: Any) -> list[bytes]:
        """Pack one command; pipelines pass here too, once for each of theirs."""
        require_read_command(args)
        if self._greets:
            self._greeting.sent(_word(args[0]))
        return super().pack_command(*args)


class GuardedTLSConnection(GuardedConnection, SSLConnection):
    """The same over TLS."""
