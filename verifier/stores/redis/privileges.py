"""What a Redis user can do beyond reading, by ACL DRYRUN, which executes nothing.

Every command that the server itself classes as writing is tried, with keys that exist: a user may be limited to key patterns, to
some commands, or to both (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from redis import exceptions

from verifier.stores.errors import StoreError
from verifier.stores.protocols import Privilege
from verifier.stores.redis.keys import key_text
from verifier.stores.redis.node import Node
from verifier.stores.redis.write_commands import WRITE_COMMANDS

PROBE = "verifier:probe"
KEYS_TRIED = 20
SHOWN = 6
# Commands that write or disturb and are in no category `write`, and the most usual writes for servers without COMMAND LIST.
ALWAYS: tuple[tuple[str, ...], ...] = (
    ("SET", PROBE, "1"), ("DEL", PROBE), ("HSET", PROBE, "f", "1"), ("EXPIRE", PROBE, "1"), ("LPUSH", PROBE, "1"), ("SADD", PROBE, "1"),
    ("ZADD", PROBE, "1", "m"), ("RENAME", PROBE, PROBE), ("FLUSHALL",), ("FLUSHDB",), ("PUBLISH", PROBE, "1"), ("SPUBLISH", PROBE, "1"),
    ("CONFIG", "SET", "maxmemory", "0"), ("EVAL", "return 1", "0"), ("EVALSHA", "0", "0"), ("FCALL", "f", "0"), ("SCRIPT", "FLUSH"),
    ("FUNCTION", "FLUSH"), ("SHUTDOWN",), ("DEBUG", "SLEEP", "0"), ("REPLICAOF", "NO", "ONE"), ("FAILOVER",),
    ("ACL", "SETUSER", PROBE), ("MODULE", "UNLOAD", PROBE), ("SWAPDB", "0", "0"),
)  # fmt: skip


async def privileges(node: Node) -> list[Privilege]:
    """What the user may do on one server."""
    try:
        name = key_text(await node.run("ACL WHOAMI", node.driver.acl_whoami()))
        commands = await _commands(node)
        answers = await _dry_run(node, name, commands)
    except StoreError as error:
        granted, patterns = await _granted(node), await _patterns(node)
        if _writes(granted) and (patterns is None or _writable(patterns)):
            detail = f"its ACL rules allow {' '.join(granted[:SHOWN])}"
            return [Privilege(node.label, "writing commands", "too_many", detail)]
        return [Privilege(node.label, "can it write?", "unknown", f"the server does not say ({error})")]
    allowed = [command for command, answer in zip(commands, answers, strict=True) if answer == "OK"]
    limited = [command for command, answer in zip(commands, answers, strict=True) if _limited(answer)]
    if not allowed and limited:
        allowed = await _on_own_keys(node, name, limited)
    if allowed:
        return [Privilege(node.label, "writing commands", "too_many", f"user {name} may {_names(allowed)}")]
    if limited:
        what = f"user {name} may run {_names(limited)} on some keys or channels, and the server does not say on which"
        return [Privilege(node.label, "can it write?", "unknown", f"{what}. Take these commands from it (-@write)")]
    return [
        Privilege(node.label, "read only", "ok", f"user {name} may run none of {len(commands)} commands that write")
    ]


async def _on_own_keys(node: Node, name: str, limited: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Those of these commands that the user may run on keys of its own patterns, or on keys that exist."""
    if (patterns := await _patterns(node)) is not None and not _writable(patterns):
        return []
    found: list[tuple[str, ...]] = []
    tried = [pattern.partition("~")[2].replace("*", "probe") for pattern in patterns or ()]
    with suppress(StoreError):
        _, keys = await node.run("SCAN", node.driver.scan(0, count=KEYS_TRIED))
        tried += [key_text(key) for key in keys[:KEYS_TRIED]]
    for key in dict.fromkeys(tried):
        moved = [tuple(key if word == PROBE else word for word in command) for command in limited]
        answers = await _dry_run(node, name, moved)
        found = [command for command, answer in zip(limited, answers, strict=True) if answer == "OK"]
        if found:
            break
    return found


def _writable(patterns: Sequence[str]) -> bool:
    """Whether one of these key patterns grants writing."""
    return any(pattern.startswith(("~", "%RW~", "%WR~", "%W~", "allkeys")) for pattern in patterns)


def _writes(rules: Sequence[str]) -> bool:
    """Whether command rules of an ACL user, the later ones of which win, allow all commands or the category `write`."""
    writes = False
    for rule in rules:
        if rule in ("+@all", "allcommands", "+@write"):
            writes = True
        elif rule in ("-@all", "nocommands", "-@write"):
            writes = False
    return writes


async def _granted(node: Node) -> list[str]:
    """The user's command rules by ACL GETUSER, for servers without DRYRUN (before Redis 7); empty where not granted."""
    return [word for text in await _rules(node, "commands") or () for word in text.split()]


async def _patterns(node: Node) -> list[str] | None:
    """The user's key patterns, selectors included, by ACL GETUSER; None where it is not granted."""
    rules = await _rules(node, "keys")
    return None if rules is None else [word for text in rules for word in text.split()]


async def _rules(node: Node, part: str) -> list[str] | None:
    try:
        name = key_text(await node.run("ACL WHOAMI", node.driver.acl_whoami()))
        return _part(await node.run("ACL GETUSER", node.send("ACL", "GETUSER", name)), part)
    except StoreError:
        return None


def _part(answer: Any, part: str) -> list[str]:
    """One part of an answer of ACL GETUSER. Nothing else of it is kept: it also has hashes of passwords."""
    if isinstance(answer, Mapping):
        pairs = list(answer.items())
    elif isinstance(answer, list | tuple):
        pairs = list(zip(answer[0::2], answer[1::2], strict=False))
    else:
        return []
    found = []
    for name, value in pairs:
        title = key_text(name) if isinstance(name, bytes | str) else ""
        if title == part:
            found += [key_text(item) for item in (value if isinstance(value, list | tuple | set) else [value])]
        elif title == "selectors":
            found += [rule for selector in value or () for rule in _part(selector, part)]
    return found


async def _commands(node: Node) -> list[tuple[str, ...]]:
    """The commands to try, with made-up arguments: `ALWAYS`, those that are known to write, and those that this server puts
    into its category `write`, where it tells."""
    words = dict(WRITE_COMMANDS)
    with suppress(StoreError):
        listed = await node.run("COMMAND LIST", node.send("COMMAND LIST", "FILTERBY", "ACLCAT", "write"))
        names = sorted({key_text(name) for name in listed} - words.keys())
        details = await node.run("COMMAND INFO", node.send("COMMAND INFO", *names)) if names else []
        for name, detail in zip(names, details, strict=True):
            words[name] = abs(int(detail[1])) if detail else 3
    known = {command[0].lower() for command in ALWAYS}
    commands = list(ALWAYS)
    for name, count in words.items():
        if name not in known:
            parts = name.upper().split("|")
            commands.append((*parts, *([PROBE] * max(0, count - len(parts)))))
    return commands


async def _dry_run(node: Node, user: str, commands: Sequence[tuple[str, ...]]) -> list[str]:
    """The server's word on each command: OK, why not, or the error about its arguments."""
    pipeline = node.driver.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command("ACL", "DRYRUN", user, *command)
    answers = await node.run("ACL DRYRUN", pipeline.execute(raise_on_error=False), count=len(commands))
    refused = [answer for answer in answers if isinstance(answer, exceptions.RedisError)]
    if len(refused) == len(answers):
        raise node.translate(refused[0])
    return [
        str(answer) if isinstance(answer, Exception) else "OK" if answer is True else key_text(answer)
        for answer in answers
    ]


def _limited(answer: str) -> bool:
    """Whether a command is refused because of its key, channel or database, so that the command itself is allowed."""
    text = answer.lower()
    return (
        "permission" in text and "to run" not in text and any(word in text for word in ("key", "channel", "database"))
    )


def _names(commands: Sequence[tuple[str, ...]]) -> str:
    """Some of the commands' names. Arguments are not shown."""
    shown = [
        " ".join(command[:2]) if command[0] in ("CONFIG", "CLIENT", "ACL", "SCRIPT", "FUNCTION") else command[0]
        for command in commands
    ]
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more
