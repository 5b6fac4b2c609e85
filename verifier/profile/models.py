"""The profile as a whole, validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from verifier.model.invariant import Phase
from verifier.profile.budgets import StoreBudget
from verifier.profile.canary import Canary
from verifier.profile.declared import Imports, OpenIMConfig, Webhooks
from verifier.profile.errors import NotMapped, ProfileError
from verifier.profile.identity import Identity
from verifier.profile.inventory import Inventories, Media
from verifier.profile.policies import Policies, ScopeRule, TokenPolicy
from verifier.profile.relations import HOME, Channel, Column, Queue, Relation
from verifier.profile.roles import Roles
from verifier.profile.section import Section
from verifier.profile.timing import Schedule, Timing
from verifier.profile.waivers import Accepted, Gate, Waiver

__all__ = ["NotMapped", "Profile", "ProfileError"]

CHECK_ID = re.compile(r"[A-Z]+-\d\d\Z|X-[A-Z0-9-]+\Z")


class Profile(Section):
    """One stack. Strings may hold `${NAME}`, a value of the environment; a string `file:PATH` is the content of a file.

    Relative paths start at the directory of the profile.
    """

    stack: str = Field(min_length=1, description="Name of the stack, as reports show it", examples=["acme-production"])
    phase: Phase = Field(
        description="How far the move has come; see [data-ownership.md](data-ownership.md#phases)", examples=["cutover"]
    )
    since: dict[Phase, datetime] = Field(
        default_factory=dict,
        description="When each phase began. The current phase needs an entry, except `baseline`. UTC if no offset is given",
        examples=[{"registered": datetime(2026, 1, 5, 8, 0, tzinfo=UTC)}],
    )
    history: str = Field(
        default="verifier-history.db",
        description="Where the verifier keeps its history: a SQLite file, a PostgreSQL URL, or `memory:` for none",
        examples=["${HISTORY_URL}"],
    )
    roles: Roles = Field(description="The stores")
    relations: dict[str, Relation] = Field(default_factory=dict, description="The logical tables")
    channels: dict[str, Channel] = Field(default_factory=dict, description="The Redis channels")
    queues: dict[str, Queue] = Field(default_factory=dict, description="The RabbitMQ queues")
    identity: Identity = Field(default=Identity(), description="How user ids map to OpenIM's")
    scope: ScopeRule = Field(default=ScopeRule(), description="Which conversations are OpenIM's")
    token: TokenPolicy = Field(default=TokenPolicy(), description="How imTokens are issued")
    policies: Policies = Field(default=Policies(), description="Questions that the move leaves open")
    inventory: Inventories = Field(default=Inventories(), description="Objects that are declared or belong to others")
    canary: Canary | None = Field(default=None, description="The canary's journal")
    media: Media = Field(default=Media(), description="Where media are")
    imports: Imports = Field(default=Imports(), description="How imported objects are recognised")
    openim_config: OpenIMConfig = Field(default=OpenIMConfig(), description="What OpenIM's configuration must say")
    webhooks: Webhooks = Field(default=Webhooks(), description="The webhooks that the stack relies on")
    timing: Timing = Field(default=Timing(), description="Delays and time limits")
    budgets: dict[str, StoreBudget] = Field(default_factory=dict, description="The load that stores may get, by role")
    schedule: Schedule = Field(default=Schedule(), description="When `verifier serve` runs")
    gate: Gate = Field(default=Gate(), description="What the next phase demands")
    pending: Literal["report", "fail"] = Field(
        default="report",
        description="Checks that came with an upgrade. `report`: they do not count in the exit code until `verifier accept`. "
        "`fail`: they count at once",
        examples=["fail"],
    )
    absent: dict[str, str] = Field(
        default_factory=dict,
        description="What this stack does not have, each with the reason: `relations.NAME`, `relations.NAME.columns.NAME`, `channels.NAME`, "
        "`queues.NAME`, `roles.NAME` or `searched_for_tokens`. A critical invariant that needs something that is neither mapped nor absent is inconclusive",
        examples=[{"relations.presence": "clients poll, there never was presence"}],
    )
    waivers: tuple[Waiver, ...] = Field(default=(), description="Known breaches")
    accept_inconclusive: tuple[Accepted, ...] = Field(default=(), description="Known limitations")

    @field_validator("relations", mode="before", json_schema_input_type=dict[str, Relation | tuple[Relation, ...]])
    @classmethod
    def _homes(cls, value: Any) -> Any:
        """`[[relations.NAME]]`: the first entry is the relation, the others are its further homes."""
        if not isinstance(value, dict):
            return value
        return {
            name: {**entry[0], "homes": entry[1:]} if isinstance(entry, list | tuple) and entry else entry
            for name, entry in value.items()
        }

    @field_validator("since")
    @classmethod
    def _aware(cls, value: dict[Phase, datetime]) -> dict[Phase, datetime]:
        return {phase: at if at.tzinfo else at.replace(tzinfo=UTC) for phase, at in value.items()}

    @model_validator(mode="after")
    def _references(self) -> Profile:
        objects: dict[str, Mapping[str, Relation] | Mapping[str, Channel] | Mapping[str, Queue]] = {
            "relations": self.relations,
            "channels": self.channels,
            "queues": self.queues,
        }
        there = self.roles.named()
        for table, entries in objects.items():
            for name, entry in entries.items():
                for place in entry.places if isinstance(entry, Relation) else (entry,):
                    if place.role not in there:
                        raise ValueError(
                            f"{table}.{name}: there is no role {place.role!r}; there are: {', '.join(there) or 'none'}"
                        )
        for role in self.budgets:
            if role not in there:
                raise ValueError(f"budgets.{role}: there is no role {role!r}; there are: {', '.join(there) or 'none'}")
        if self.phase is not Phase.BASELINE and self.phase not in self.since:
            raise ValueError(f"since.{self.phase.value} is missing: when did phase {self.phase.value} begin?")
        for check in (*(item.check for item in self.waivers), *(item.check for item in self.accept_inconclusive)):
            if not CHECK_ID.match(check):
                raise ValueError(f"{check!r} is not an invariant's ID, such as USR-01")
        if self.phase.reached(Phase.CUTOVER) and self.scope.kind == "relation" and "scope" not in self.relations:
            raise ValueError("phase cutover and later need [relations.scope], or [scope] kind = 'all'")
        return self

    @model_validator(mode="after")
    def _absences(self) -> Profile:
        for name, reason in self.absent.items():
            if not reason.strip():
                raise ValueError(f"absent.{name!r} needs a reason")
            if self._is_mapped(name):
                raise ValueError(f"{name} is under [absent], but the profile maps it")
        return self

    def relation(self, name: str, *columns: str) -> Relation:
        """The mapping of a logical relation, or of one of its homes (`NAME@1`). Raises NotMapped if it, or one of the given
        columns in one of its homes, is not mapped."""
        base, _, number = name.partition(HOME)
        relation = self.relations.get(base)
        if relation is None:
            raise NotMapped(f"relations.{base}")
        if number:
            relation = relation.places[int(number)]
        for place in relation.places:
            for column in columns:
                if column not in place.columns and not self._is_virtual(base, column, place):
                    raise NotMapped(f"relations.{base}.columns.{column}")
        return relation

    def homes(self, name: str) -> tuple[str, ...]:
        """The names of a relation's homes, `NAME@0`, `NAME@1`, …; the relation's own name if it has only one."""
        count = len(self.relations[name].places) if name in self.relations else 1
        return tuple(f"{name}{HOME}{number}" for number in range(count)) if count > 1 else (name,)

    @property
    def places(self) -> tuple[Relation, ...]:
        """The mappings of all relations, each home by itself."""
        return tuple(place for relation in self.relations.values() for place in relation.places)

    def column(self, relation: str, column: str) -> Column:
        """The mapping of one logical column. Raises NotMapped."""
        return self.relation(relation, column).columns[column]

    def why_absent(self, name: str) -> str | None:
        """The reason why the stack does not have an object, by its own name or that of its relation; None if not declared."""
        relation, _, column = name.partition(".columns.")
        return self.absent.get(name) or (self.absent.get(relation) if column else None)

    def _is_mapped(self, name: str) -> bool:
        """Whether an object of `[absent]` is mapped. Raises ValueError for a name that is not one of an object."""
        table, _, rest = name.partition(".")
        entry, _, column = rest.partition(".columns.")
        match table:
            case "relations" if entry:
                return entry in self.relations and (not column or column in self.relations[entry].columns)
            case "channels" if entry:
                return entry in self.channels
            case "queues" if entry:
                return entry in self.queues
            case "roles" if entry:
                return entry in self.roles.named()
            case "searched_for_tokens":
                return any(relation.searched_for_tokens for relation in self.relations.values())
        raise ValueError(
            f"absent.{name!r}: give relations.NAME, relations.NAME.columns.NAME, channels.NAME, queues.NAME, roles.NAME "
            "or searched_for_tokens"
        )

    def _is_virtual(self, relation: str, column: str, place: Relation) -> bool:
        if column == "expires_at":
            return place.lifetime_s is not None
        return relation == "users" and column == "openim_user_id"

    def channel(self, name: str) -> Channel:
        """A declared channel. Raises NotMapped."""
        if name not in self.channels:
            raise NotMapped(f"channels.{name}")
        return self.channels[name]

    def queue(self, name: str) -> Queue:
        """A declared queue. Raises NotMapped."""
        if name not in self.queues:
            raise NotMapped(f"queues.{name}")
        return self.queues[name]

    def has(self, relation: str, *columns: str) -> bool:
        """Whether a relation with these columns is mapped."""
        try:
            self.relation(relation, *columns)
        except NotMapped:
            return False
        return True

    def budget(self, role: str) -> StoreBudget:
        """The budget of a role's store: what the profile sets, else the defaults."""
        return self.budgets.get(role) or StoreBudget()

    def since_phase(self, phase: Phase) -> datetime | None:
        """When a phase began; None if the profile does not say."""
        return self.since.get(phase)

    @property
    def retention_days(self) -> tuple[float, str]:
        """How many days OpenIM keeps messages (0: for ever), and which setting says so."""
        if self.imports.retention_days is not None:
            return self.imports.retention_days, "imports.retention_days"
        declared = self.openim_config.declared("openim-crontask.yml", "retainChatRecords")
        if isinstance(declared, int | float) and not isinstance(declared, bool) and declared >= 0:
            return float(declared), "openim_config, openim-crontask.yml"
        return 365.0, "OpenIM's default"

    @property
    def token_key_column(self) -> str:
        """The logical column of relation `im_tokens` that names the user: `user_id`, or `openim_user_id`."""
        return "openim_user_id" if self.token.key_id == "openim" else "user_id"

    def is_im_token_key(self, key: str) -> bool:
        """Whether a Redis key is one of the declared imToken keys."""
        patterns = (re.escape(place.keys or "") for place in self.relation("im_tokens").places)
        # A user's id may contain the separator of the key.
        return any(re.fullmatch(re.sub(r"\\{\w+\\}", ".+", item), key, re.DOTALL) for item in patterns)
