"""The profile as a whole, validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from verifier.model.invariant import Phase
from verifier.profile.budgets import StoreBudget
from verifier.profile.declared import Imports, OpenIMConfig, Webhooks
from verifier.profile.errors import NotMapped, ProfileError
from verifier.profile.identity import Identity
from verifier.profile.relations import Channel, Column, Queue, Relation
from verifier.profile.roles import Roles

__all__ = ["NotMapped", "Profile", "ProfileError"]

CHECK_ID = re.compile(r"[A-Z]+-\d\d\Z|X-[A-Z0-9-]+\Z")


class Section(BaseModel):
    """A table of the profile; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ScopeRule(Section):
    """`[scope]`: which conversations are OpenIM's, and since when.

    `kind = "all"`: every conversation, since the phase began. `kind = "relation"`: those that relation `scope` lists (columns
    conversation_id, openim_id, since; group_id and openim_group_id for groups). Relation `neighbours`, if mapped, lists the
    conversations that stay legacy on purpose: from phase `frozen` on, whatever stands in neither counts as in scope.
    """

    kind: Literal["relation", "all"] = "relation"
    mixed: Literal["all_members", "any_member"] | None = None


class TokenPolicy(Section):
    """`[token]`: what the platform decided about imTokens."""

    key_id: Literal["platform", "openim"] = "platform"
    delivery: Literal["proxy", "login_response"] = "proxy"
    per: Literal["user", "platform"] = "user"
    second_device: Literal["kept", "ends_first"] = Field(
        default="kept", description="what a login on a second platform does to the first session (TOK-07)"
    )


class Policies(Section):
    """`[policies]`: what the doc leaves open. Where one is not set, the default holds and the report says so."""

    message_reads: Literal["frozen", "kept"] = "frozen"
    group_invites: Literal["kept", "openim"] = "kept"
    history_import: Literal["none", "imported"] = "none"
    friends: Literal["ours", "mirrored"] = "ours"
    conversation_flags: Literal["ours", "openim"] = "ours"
    conversations_layer: tuple[str, ...] = Field(
        default=(), description="columns of `conversations` that may still change: the UI-flag thin layer"
    )
    chat_queue: Literal["remove", "repurpose"] = "remove"
    push_types: tuple[str, ...] = Field(
        default=("otp", "alert"), description="declared types on the push queue after the move"
    )
    chat_push_fields: tuple[str, ...] = Field(
        default=("conversation_id", "message_id", "seq", "sender_id"),
        description="fields that give a chat push away",
    )


class Inventories(Section):
    """`[inventory]`: the objects that are declared. A relation's own table or collection is declared by itself."""

    collections: tuple[str, ...] = Field(
        default=(), description="Mongo names, `database.collection`; `*` matches within a name"
    )
    queues: tuple[str, ...] = ()
    tables: tuple[str, ...] = Field(
        default=(), description="tables and columns approved although new, `schema.table[.column]`"
    )
    foreign_keys: tuple[str, ...] = Field(
        default=(), description="Redis key patterns that belong to others (ownership map)"
    )
    foreign_vhosts: tuple[str, ...] = Field(
        default=(), description="RabbitMQ vhosts of others, patterns with `*`; none of them is judged"
    )
    foreign_channels: tuple[str, ...] = ()
    openim_users: tuple[str, ...] = Field(
        default=(),
        description="OpenIM ids, patterns with `*`, of accounts that are nobody of ours: bots, load, canaries",
    )
    subscribers: tuple[str, ...] = Field(
        default=(), description="names of Redis clients that may subscribe to anything"
    )


class Canary(Section):
    """`[canary]`: the journal that `python -m suites.canary` leaves, and how old it may be."""

    journal: str
    max_age_s: float = Field(default=86_400, gt=0)
    durable_after_s: float = Field(
        default=86_400,
        ge=0,
        description="how long OpenIM may answer from its cache: a message is looked for in its store when it is older (MSG-05)",
    )
    lag_max_s: float = Field(
        default=5, gt=0, description="how long an acknowledged message may usually take to be pushed (LAG-01)"
    )
    adapter: str | None = Field(
        default=None, description="`package.module:Factory`, or an entry point of the group `openim_ssot.adapters`"
    )
    users: tuple[str, ...] = ()
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="what the adapter asks for, e.g. the gateway's path to OpenIM's WebSocket (it says itself what)",
    )


class Media(Section):
    """`[media]`: the only hosts that get a HEAD request."""

    allowed_hosts: tuple[str, ...] = ()
    openim_urls: tuple[str, ...] = Field(
        default=(), description="beginnings of the URLs of objects in OpenIM's bucket, which OpenIM deletes (MED-02)"
    )
    file_expire_days: float | None = Field(
        default=None,
        gt=0,
        description="OpenIM's fileExpireTime; where not set, what openim_config declares, else OpenIM's own 180",
    )
    sample: int = Field(default=50, ge=1)


class Timing(Section):
    """`[timing]`: how long things may take, all in seconds."""

    settle_s: float = Field(default=5, ge=0, description="how long a fact may be in flight between two stores")
    observe_s: float = Field(default=30, ge=0, description="how long taps listen")
    counter_flush_s: float = Field(
        default=11,
        ge=0,
        description="how late counters are: PostgreSQL flushes an idle session's after 10 s, RabbitMQ's interval is 5 s twice",
    )
    openim_cache_s: float = Field(
        default=301,
        ge=0,
        description="how long OpenIM may answer parse_token from its cache: a dead token is asked for twice, so far apart",
    )
    token_sample: int = Field(default=500, ge=1, description="how many imTokens OpenIM is asked about in one run")
    clock_skew_max_s: float = Field(default=2, gt=0)
    check_timeout_s: float = Field(default=1800, gt=0)
    run_max_age_s: float | None = Field(
        default=None, gt=0, description="how old the run before this one may be (META-01); not judged where not set"
    )
    pause_file: str | None = Field(
        default=None,
        description="while this file is there, a run waits: nothing new is asked of any store (`--pause-file`)",
    )
    resume_within_s: float = Field(
        default=21_600,
        gt=0,
        description="how long ago a run may have been cut short for `verifier run --resume` to go on with it",
    )


class Waiver(Section):
    """`[[waivers]]`: a known breach that someone answers for, until a date.

    Expired or exceeded, the check is violated again; one that covers nothing is a warning. A check may have several.
    """

    check: str
    owner: str
    reason: str
    expires: date
    max_findings: int | None = Field(default=None, ge=1, description="more findings than this are violated again")
    fingerprints: tuple[str, ...] = Field(
        default=(),
        description="only these findings (their fingerprints, or the beginnings of at least 8 characters); all where not set",
    )

    @field_validator("fingerprints")
    @classmethod
    def _fingerprints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[0-9a-f]{8,16}", name):
                raise ValueError(
                    f"{name!r} is no fingerprint: 8 to 16 characters 0-9 a-f, as reports and `verifier history` show them"
                )
        return value


class Accepted(Section):
    """`[[accept_inconclusive]]`: a known blindness, taken out of the exit code but never out of the report."""

    check: str
    reason: str
    expires: date


class Gate(Section):
    """`[gate]`: what `verifier can-advance` demands before the next phase."""

    greens: int = Field(
        default=3, ge=1, description="so many complete runs in a row in which everything holds and nothing is open"
    )
    hours: float = Field(default=24, ge=0, description="so many hours from the first of them to the end of the last")
    observe_hours: float = Field(
        default=1,
        ge=0,
        description="so many hours of listening in them, for each check that only hears what happens while it listens",
    )
    waiver_days: float = Field(default=7, ge=0, description="no waiver that was needed may expire within so many days")
    max_age_hours: float = Field(default=26, gt=0, description="how old the newest run may be")


class Schedule(Section):
    """`[schedule]`: when `verifier serve` runs."""

    cron: str = "17 2 * * *"
    canary_cron: str | None = None


class Profile(Section):
    """One stack, described."""

    stack: str = Field(min_length=1)
    phase: Phase
    since: dict[Phase, datetime] = Field(default_factory=dict)
    history: str = "verifier-history.db"
    roles: Roles
    relations: dict[str, Relation] = Field(default_factory=dict)
    channels: dict[str, Channel] = Field(default_factory=dict)
    queues: dict[str, Queue] = Field(default_factory=dict)
    identity: Identity = Identity()
    scope: ScopeRule = ScopeRule()
    token: TokenPolicy = TokenPolicy()
    policies: Policies = Policies()
    inventory: Inventories = Inventories()
    canary: Canary | None = None
    media: Media = Media()
    imports: Imports = Imports()
    openim_config: OpenIMConfig = OpenIMConfig()
    webhooks: Webhooks = Webhooks()
    timing: Timing = Timing()
    budgets: dict[str, StoreBudget] = Field(default_factory=dict)
    schedule: Schedule = Schedule()
    gate: Gate = Gate()
    pending: Literal["report", "fail"] = Field(
        default="report",
        description="checks that came with an upgrade: reported until they are accepted (`verifier accept`), or counted at once",
    )
    waivers: tuple[Waiver, ...] = ()
    accept_inconclusive: tuple[Accepted, ...] = ()

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
                if entry.role not in there:
                    raise ValueError(
                        f"{table}.{name}: role {entry.role!r} is not described; there are: {', '.join(there) or 'none'}"
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

    def relation(self, name: str, *columns: str) -> Relation:
        """The mapping of a logical relation; NotMapped where it, or one of the columns asked for, is missing."""
        relation = self.relations.get(name)
        if relation is None:
            raise NotMapped(f"relation {name!r}")
        for column in columns:
            if column not in relation.columns and not self._is_virtual(name, column):
                raise NotMapped(f"column {column!r} of relation {name!r}")
        return relation

    def column(self, relation: str, column: str) -> Column:
        """The mapping of one logical column."""
        return self.relation(relation, column).columns[column]

    def _is_virtual(self, relation: str, column: str) -> bool:
        return relation == "users" and column == "openim_user_id"

    def channel(self, name: str) -> Channel:
        """A declared channel, or NotMapped."""
        if name not in self.channels:
            raise NotMapped(f"channel {name!r}")
        return self.channels[name]

    def queue(self, name: str) -> Queue:
        """A declared queue, or NotMapped."""
        if name not in self.queues:
            raise NotMapped(f"queue {name!r}")
        return self.queues[name]

    def has(self, relation: str, *columns: str) -> bool:
        """Whether a relation with these columns is mapped."""
        try:
            self.relation(relation, *columns)
        except NotMapped:
            return False
        return True

    def budget(self, role: str) -> StoreBudget:
        """What may be asked of a role's store."""
        return self.budgets.get(role) or StoreBudget()

    def since_phase(self, phase: Phase) -> datetime | None:
        """When a phase began, if the profile says."""
        return self.since.get(phase)

    @property
    def retention_days(self) -> tuple[float, str]:
        """How many days OpenIM keeps messages (0: for ever), and who says so."""
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
        pattern = re.escape(self.relation("im_tokens").keys or "")
        return re.fullmatch(re.sub(r"\\{\w+\\}", "[^:]+", pattern), key) is not None
