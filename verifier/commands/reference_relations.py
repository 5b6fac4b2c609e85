"""Which invariants read which logical relation and column: asked of the checks themselves, on a profile that maps everything."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from datetime import UTC, datetime

from verifier.checks.catalogue import load_checks
from verifier.checks.names import relations_read
from verifier.checks.registry import NotApplicable
from verifier.model.invariant import Phase
from verifier.profile.errors import NotMapped
from verifier.profile.logical import RELATIONS
from verifier.profile.models import Profile
from verifier.profile.relations import Relation

SEARCHES_ALL = frozenset({"TOK-06"})
"""Checks that read the columns of whatever relation the profile names for them."""


@dataclasses.dataclass
class Readers:
    """The invariants that read one column: those that need it, and those that use it if it is mapped."""

    needed_by: set[str] = dataclasses.field(default_factory=set)
    used_by: set[str] = dataclasses.field(default_factory=set)


class _Recorder(Profile):
    """A profile that maps everything and notes what a check asks it for."""

    def note(self, relation: str, columns: tuple[str, ...], *, optional: bool) -> None:
        """Note columns of a relation for the check that is being built."""
        asked: dict[tuple[str, str], bool] = self.__dict__.setdefault("asked", {})
        for column in columns or ("",):
            asked[relation, column] = optional or asked.get((relation, column), False)

    def relation(self, name: str, *columns: str) -> Relation:
        self.note(name, columns, optional=False)
        return super().relation(name, *columns)

    def has(self, relation: str, *columns: str) -> bool:
        self.note(relation, columns, optional=True)
        return relation in self.relations and set(columns) <= set(self.relations[relation].columns)


def readers() -> dict[str, dict[str, Readers]]:
    """The invariants that read each column, by relation and column. Column "" is the relation as a whole."""
    found: dict[str, dict[str, Readers]] = defaultdict(lambda: defaultdict(Readers))
    for key_id in ("platform", "openim"):
        for phase in Phase:
            profile = _everything(phase, key_id)
            for check in load_checks():
                if check.id in SEARCHES_ALL:
                    continue
                profile.__dict__["asked"] = {}
                try:
                    for proof in check.proofs(profile):
                        for relation, columns in relations_read(proof):
                            profile.note(relation, columns, optional=relation == "neighbours")
                except (NotMapped, NotApplicable):
                    continue
                for (relation, column), optional in profile.__dict__["asked"].items():
                    if relation in RELATIONS:
                        entry = found[relation][column]
                        (entry.used_by if optional else entry.needed_by).add(check.id)
    return {relation: dict(columns) for relation, columns in found.items()}


def _everything(phase: Phase, key_id: str) -> _Recorder:
    relations = {
        name: {
            "role": "chat_db",
            "table": f"public.{name}",
            "key": next(iter(logical.columns)),
            "columns": dict.fromkeys(logical.columns, "c"),
        }
        for name, logical in RELATIONS.items()
    }
    relations["im_tokens"] |= {"role": "cache_redis", "keys": "im:token:{user_id}"}
    del relations["im_tokens"]["table"]
    return _Recorder.model_validate(
        {
            "stack": "everything",
            "phase": phase,
            "since": dict.fromkeys(Phase, datetime(2026, 1, 1, tzinfo=UTC)),
            "roles": {
                "user_db": {"url": "postgresql://db"},
                "chat_db": {"url": "postgresql://db"},
                "chat_mongo": {"url": "mongodb://mongo", "database": "chat"},
                "cache_redis": {"url": "redis://redis"},
                "broker": {"management_url": "http://mq"},
                "openim": {"api_url": "http://openim", "admin_token": "t"},
                "openim_mongo": {"url": "mongodb://mongo", "database": "openim_v3"},
            },
            "relations": relations,
            "channels": {"chat_notification": {"role": "cache_redis", "name": "c"}},
            "queues": {name: {"name": "q"} for name in ("chat_message_notify", "notification_push", "push_tap")},
            "scope": {"mixed": "all_members"},
            "token": {"key_id": key_id},
            "policies": {"history_import": "imported", "friends": "mirrored"},
            "imports": {"group_marker": "g", "message_marker": "m"},
            "media": {"allowed_hosts": ["host"], "openim_urls": ["http://openim/object/"]},
            "canary": {"journal": "canary.jsonl"},
        }
    )


def relations_section() -> list[str]:
    """The lines of the section `The relations` of docs/profile.md."""
    read = readers()
    lines = [
        "## The relations",
        "",
        "These are the names of relations, and of their columns, that checks use. Map those that the stack has. A check that",
        "needs a column which is not mapped does not apply, and the report says so.",
        "",
    ]
    for name, relation in RELATIONS.items():
        columns = read.get(name, {})
        whole = columns.get("", Readers())
        others = sorted(whole.needed_by | whole.used_by)
        lines += [
            f"### {name}",
            "",
            relation.meaning + (f" Read as a whole by {', '.join(others)}." if others else ""),
            "",
        ]
        lines += ["| column | | NULL means | needed by | used, if mapped, by |", "|---|---|---|---|---|"]
        for column, logical in relation.columns.items():
            entry = columns.get(column, Readers())
            null = logical.null or "not allowed"
            needed, used = (", ".join(sorted(names)) for names in (entry.needed_by, entry.used_by - entry.needed_by))
            lines.append(f"| `{column}` | {logical.meaning} | {null} | {needed} | {used} |")
        lines.append("")
    return lines
