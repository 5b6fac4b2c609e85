"""The Redis allow-list is applied where every command is packed for sending."""

import pytest

from verifier.stores.errors import Forbidden
from verifier.stores.redis.guard import GuardedConnection, require_read_command

SNAPSHOT = [
    ("GET", "a"),
    ("get", "a"),
    ("SCAN", 0, "MATCH", "x*"),
    ("CLIENT", "LIST"),
    ("CLIENT SETINFO", "LIB-NAME", "x"),
    (b"INFO",),
    ("OBJECT", "IDLETIME", "a"),
]
WRITING = [
    ("SET", "a", "1"), ("DEL", "a"), ("KEYS", "*"), ("MONITOR",), ("CONFIG", "SET", "a", "b"), ("CONFIG SET", "a", "b"), ("PUBLISH", "c", "x"),
    ("SPUBLISH", "c", "x"), ("EVAL", "return 1", 0), ("FLUSHALL",), ("CLIENT", "KILL", "1.2.3.4:5"), ("GETDEL", "a"), ("GETEX", "a"),
    ("EXPIRE", "a", 1), ("DEBUG", "SLEEP", 1), ("SHUTDOWN",), ("ACL", "SETUSER", "x"), ("SORT", "a", "STORE", "b"), ("MULTI",), ("OBJECT", "FREEZE"),
]  # fmt: skip


@pytest.mark.parametrize("command", SNAPSHOT)
def test_reading_passes(command: tuple[str | bytes | int, ...]) -> None:
    """Commands that only read are packed, whatever their case and spelling."""
    require_read_command(command)


@pytest.mark.parametrize("command", WRITING)
def test_everything_else_is_refused(command: tuple[str | bytes | int, ...]) -> None:
    """A writing command is refused before it is packed, alone and inside a pipeline."""
    connection = GuardedConnection()
    with pytest.raises(Forbidden):
        connection.pack_command(*command)
    with pytest.raises(Forbidden):
        connection.pack_commands([("GET", "a"), command])
