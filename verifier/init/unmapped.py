"""The objects of the stores that the draft does not map: their names, as comments at the end of the file."""

from __future__ import annotations

from collections.abc import Iterable, Set

from verifier.init.key_forms import key_forms
from verifier.init.sections import one_line
from verifier.init.survey import Survey

NAMES_MAX = 40


def unmapped(survey: Survey, used: Set[str]) -> list[str]:
    """Comment lines, by store; none for a store that was not inspected. `used`: the names that the draft maps."""
    lines: list[str] = []
    roles_of: dict[tuple[str, ...], list[str]] = {}
    for role, tables in survey.tables.items():
        # Two roles may be one database.
        roles_of.setdefault(tuple(item.name for item in tables), []).append(role)
    for roles in roles_of.values():
        tables = survey.tables[roles[0]]
        names = [f"{item.name} ({', '.join(item.columns)})" for item in tables if item.name not in used]
        lines += _block(f"tables of {' and '.join(sorted(roles))} that no section maps", names)
    for database, collections in survey.collections.items():
        names = [f"{database}.{item.name} ({', '.join(item.columns)})" for item in collections if item.name not in used]
        lines += _block(
            "MongoDB collections that no section maps; declare those that belong there in [inventory]", names
        )
    if survey.redis is not None:
        scanned = "all" if survey.redis.complete else "a sample of"
        forms = [f"{form} ({count})" for form, count in key_forms(survey.redis.keys)]
        lines += _block(f"forms of Redis keys, in {scanned} {len(survey.redis.keys)} keys", forms)
        lines += _block("Redis channels that have subscribers", survey.redis.channels)
    if survey.broker is not None:
        queues = [f"{name} in vhost {vhost}" for vhost, name in survey.broker.queues if f"queue {name}" not in used]
        lines += _block("queues that no section maps; declare those that belong there in [inventory]", queues)
        lines += _block("parts of the broker that could not be read", survey.broker.unreadable)
    banner = "# ---- what else was found, to complete this file from "
    return ["", f"{banner:-<116}", *lines] if lines else []


def _block(title: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    more = [f"#   … and {len(names) - NAMES_MAX} more"] if len(names) > NAMES_MAX else []
    return ["#", f"# {title}:", *(f"#   {one_line(name)}" for name in names[:NAMES_MAX]), *more]
