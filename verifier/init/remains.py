"""What is there beside what the proposal maps: names alone, as comments to write the rest from."""

from __future__ import annotations

from collections.abc import Iterable, Set

from verifier.init.keys import key_forms
from verifier.init.sections import one_line
from verifier.init.survey import Survey

NAMES_MAX = 40


def remains(survey: Survey, used: Set[str]) -> list[str]:
    """Comment lines, by store; nothing for a store that was not looked at."""
    lines: list[str] = []
    roles_of: dict[tuple[str, ...], list[str]] = {}
    for role, tables in survey.tables.items():
        # Two roles may be one database.
        roles_of.setdefault(tuple(item.name for item in tables), []).append(role)
    for roles in roles_of.values():
        tables = survey.tables[roles[0]]
        names = [f"{item.name} ({', '.join(item.columns)})" for item in tables if item.name not in used]
        lines += _block(f"tables of {' and '.join(sorted(roles))} that no section above maps", names)
    for database, collections in survey.collections.items():
        names = [f"{database}.{item.name} ({', '.join(item.columns)})" for item in collections if item.name not in used]
        lines += _block(
            "Mongo collections that no section above maps; declare what belongs there in [inventory]", names
        )
    if survey.redis is not None:
        whole = "all" if survey.redis.complete else "a sample of"
        forms = [f"{form} ({count})" for form, count in key_forms(survey.redis.keys)]
        lines += _block(f"forms of Redis keys, in {whole} {len(survey.redis.keys)} keys", forms)
        lines += _block("Redis channels that somebody listens on", survey.redis.channels)
    if survey.broker is not None:
        queues = [f"{name} in vhost {vhost}" for vhost, name in survey.broker.queues if f"queue {name}" not in used]
        lines += _block("queues that no section above maps; declare what belongs there in [inventory]", queues)
        lines += _block("parts of the broker that could not be looked into", survey.broker.unreadable)
    banner = "# ---- what else is there, for whoever completes this file "
    return ["", f"{banner:-<116}", *lines] if lines else []


def _block(title: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    more = [f"#   … and {len(names) - NAMES_MAX} more"] if len(names) > NAMES_MAX else []
    return ["#", f"# {title}:", *(f"#   {one_line(name)}" for name in names[:NAMES_MAX]), *more]
