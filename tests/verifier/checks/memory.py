"""Checks over relations in memory, for stacks that no embedded server has: other ids, stores and names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.verifier.proofs.world import Table, World
from verifier.checks.catalogue import load_checks
from verifier.model.verdict import Judgement, Verdict
from verifier.profile import Profile, parse_profile
from verifier.stores.protocols import StoreObject

ROLES = """
[roles.user_db]
url = "postgresql://verifier@127.0.0.1:1/users"
[roles.chat_db]
url = "postgresql://verifier@127.0.0.1:1/chat"
[roles.chat_mongo]
url = "mongodb://127.0.0.1:1"
database = "chat"
[roles.cache_redis]
url = "redis://127.0.0.1:1"
[roles.openim]
api_url = "http://127.0.0.1:1"
admin_token = "none"
"""


def profile_of(text: str = "", *, phase: str = "cutover", roles: str = "", **relations: str) -> Profile:
    """A profile with these relations, each given as `role/store/name: column column …`. The first column is the key."""
    tables = "".join(_relation(name, given) for name, given in relations.items())
    if "scope" not in relations:
        text += '\n[scope]\nkind = "all"\n'
    since = "".join(f'{name} = "2026-01-01"\n' for name in ("registered", "cutover", "frozen"))
    return parse_profile(
        f'stack = "s"\nphase = "{phase}"\n{text}\n[since]\n{since}[timing]\nsettle_s = 0\n{ROLES}{roles}\n{tables}'
    )


def _relation(name: str, given: str) -> str:
    place, _, columns = given.partition(": ")
    role, store, source = place.split("/", 2)
    names = columns.split()
    mapped = "".join(f'columns.{column} = "{column}"\n' for column in names)
    return f'[relations.{name}]\nrole = "{role}"\n{store} = "{source}"\nkey = "{names[0]}"\n{mapped}'


class Listed:
    """A store that lists these objects."""

    def __init__(self, objects: Sequence[StoreObject]) -> None:
        self.objects = objects
        self.kinds: list[str] = []

    async def listing(self, kind: str) -> Sequence[StoreObject]:
        """All of them."""
        self.kinds.append(kind)
        return self.objects


class Memory(World):
    """Relations and stores in memory."""

    def __init__(self, profile: Profile, tables: Mapping[str, Any], stores: Mapping[str, Listed] | None = None) -> None:
        super().__init__(profile, **tables)
        self.stores = stores or {}

    async def get(self, role: str) -> Any:
        """The store of a role."""
        return self.stores[role]

    async def apart(self, clocks: Iterable[str], bound_s: float) -> str | None:
        """All clocks agree."""
        return None


async def judge(
    check_id: str,
    profile: Profile,
    stores: Mapping[str, Listed] | None = None,
    /,
    **tables: list[dict[str, Any]] | Table,
) -> list[Judgement]:
    """The judgement of each proof of a check. Names of built-in relations are given with `__` for the dot."""
    relations = {name.replace("__", "."): _table(name, rows) for name, rows in tables.items()}
    world = Memory(profile, relations, stores)
    return [await world.run(proof) for proof in load_checks()[check_id].proofs(profile)]


def table(rows: list[dict[str, Any]], *key: str) -> Table:
    """A relation with a key of several columns."""
    return Table(rows, key=key, finds=_same)


def _table(name: str, rows: list[dict[str, Any]] | Table) -> Table:
    if isinstance(rows, Table):
        return rows
    return Table(rows, key=tuple(rows[0])[:1] if rows else ("id",), label=name, finds=_same)


def _same(stored: Any, wanted: Any) -> bool:
    """As stores compare: an id is the same as number and as text."""
    return stored is not None and str(stored) == str(wanted)


def found(judgements: Sequence[Judgement]) -> list[str]:
    """The summaries of all findings."""
    return [item.summary for judgement in judgements for item in judgement.findings]


def verdicts(judgements: Sequence[Judgement]) -> list[Verdict]:
    """The verdict of each proof."""
    return [judgement.verdict for judgement in judgements]
