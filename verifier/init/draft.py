"""The proposal: the template, section by section, after a look at the stores."""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from verifier.init.fitting import lost_tables, renamed, selected_tables, shown, type_of
from verifier.init.matching import Match, identifiers, match_all
from verifier.init.remains import remains
from verifier.init.sections import Section, column_line, one_line, split_sections, toml_text
from verifier.init.survey import Addresses, Found, Survey
from verifier.profile.relations import Column, Queue, Relation
from verifier.profile.template import RoleUrls, TemplateValues, render_template
from verifier.stores.redis.values import KeyPattern

VARIABLES = {
    "user_db": "USER_DB_URL",
    "chat_db": "CHAT_DB_URL",
    "chat_mongo": "CHAT_MONGO_URL",
    "cache_redis": "CACHE_REDIS_URL",
    "broker": "RABBITMQ_MANAGEMENT_URL",
    "openim": "OPENIM_API_URL",
}
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Remark:
    """What became of one section: state is found, like, missing, unknown or unseen."""

    section: str
    state: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The profile's text, what became of its sections, and the variables that it reads, with a showable form of each."""

    text: str
    remarks: tuple[Remark, ...]
    variables: Mapping[str, str]


def draft(stack: str, addresses: Addresses, survey: Survey, *, today: datetime | None = None) -> Draft:
    """Write the proposal. Pure: all that is known of the stack is in the survey."""
    writer = _Writer(stack, addresses, survey)
    writer.roles()
    writer.relations()
    writer.channels()
    writer.queues()
    body = "\n".join(section.text for section in writer.sections)
    active = "\n".join(line for line in body.split("\n") if not line.startswith("#"))
    variables = {name: writer.shown_urls.get(name, "…") for name in dict.fromkeys(_VARIABLE.findall(active))}
    head = _head(today or datetime.now(UTC), survey, variables)
    text = "\n".join([body.rstrip("\n"), *remains(survey, writer.used), ""])
    return Draft(text=f"{head}\n{text}", remarks=tuple(writer.remarks), variables=variables)


def _head(now: datetime, survey: Survey, variables: Mapping[str, str]) -> str:
    seen = [f"{role} ({survey.versions[role]})" for role in VARIABLES if role in survey.versions]
    looked = f" after a look at {one_line(', '.join(seen))}" if seen else ""
    told = f"Proposed by `verifier init` on {now:%Y-%m-%d}{looked}. Read it through: every guess is marked `check`."
    lines = [
        *textwrap.wrap(told, width=116, initial_indent="# ", subsequent_indent="# "),
        "# Nothing secret stands here. Export what it reads:",
        *(f"#   export {name}={shown!r}" for name, shown in variables.items()),
        "#",
    ]
    return "\n".join(lines)


class _Writer:
    """Goes through the template's sections and changes each by what was found."""

    def __init__(self, stack: str, addresses: Addresses, survey: Survey) -> None:
        self._survey = survey
        self._given = addresses.by_role()
        self.shown_urls = {VARIABLES[role]: shown(url) for role, url in self._given.items()}
        self.remarks: list[Remark] = []
        self.used: set[str] = set()
        text = render_template(self._values(stack))
        self.sections = split_sections(text)
        raw = tomllib.loads(text)
        self._relations = {name: Relation.model_validate(item) for name, item in raw["relations"].items()}
        self._channels = {name: str(item["name"]) for name, item in raw["channels"].items()}
        self._queues = {name: Queue.model_validate(item) for name, item in raw["queues"].items()}
        there: dict[str, Sequence[Found]] = {
            **survey.tables,
            "chat_mongo": survey.collections.get(self._mongo_database, ()),
        }
        tables = {name: item for name, item in self._relations.items() if item.table or item.collection}
        self._matches = match_all(tables, there)

    def _values(self, stack: str) -> TemplateValues:
        self._mongo_database = self._survey.mongo_database or self._likely_mongo_database()
        one_redis = {"session_redis": f"${{{VARIABLES['cache_redis']}}}"} if "cache_redis" in self._given else {}
        api = {"openim_api": f"${{{VARIABLES['openim']}}}"} if "openim" in self._given else {}
        urls = RoleUrls(chat_mongo_database=self._mongo_database, broker_vhost=self._vhost(), **one_redis, **api)
        return TemplateValues(stack=stack, roles=urls, identity=self._identity())

    def _likely_mongo_database(self) -> str:
        with_messages = [
            name for name, found in self._survey.collections.items() if any(item.name == "messages" for item in found)
        ]
        candidates = with_messages or list(self._survey.collections)
        return candidates[0] if len(candidates) == 1 else RoleUrls().chat_mongo_database

    def _vhost(self) -> str:
        """The one vhost in which all queues are, else the default."""
        vhosts = {vhost for vhost, _ in self._survey.broker.queues} if self._survey.broker else set()
        return vhosts.pop() if len(vhosts) == 1 else "/"

    def _identity(self) -> str:
        """OpenIM refuses dashes, so ids of type uuid have theirs removed; others may pass as they are."""
        users = next((item for item in self._survey.tables.get("user_db", ()) if item.name == "public.users"), None)
        return "strip_dashes" if users is None or users.columns.get("id") == "uuid" else "same"

    # -- what has no address ---------------------------------------------------------------------------------------------

    def roles(self) -> None:
        """Comment out the roles that nobody gave an address of. Without any address the template stays whole."""
        for section in self._of("roles"):
            role = section.name.partition(".")[2]
            if self._absent(role):
                section.comment_out(f"no address of {role} was given")
            elif role == "openim" and role in self._given:
                section.comment_line("ws_url", "for the reader: the canary goes through the platform's gateway")
                section.remark(
                    "not looked at: OpenIM answers admins alone; `verifier doctor` tries secret and admin_user_id"
                )
            elif role == "broker" and role in self._given:
                section.comment_line("amqp_url", "lets a missing queue be told from a hidden one")
            elif role == "session_redis" and role in self._given:
                section.remark("the same server as cache_redis: name another where sessions live apart")

    def _absent(self, role: str) -> bool:
        needs = "cache_redis" if role == "session_redis" else role
        return bool(self._given) and needs not in self._given

    def _unseen(self, section: Section, role: str) -> bool:
        """Deal with a section whose role was not looked at, for want of an address or because it failed."""
        role = "cache_redis" if role == "session_redis" else role
        if self._absent(role):
            section.comment_out(f"no address of {role} was given")
            self._note(section, "unseen", f"no address of {role}")
            return True
        if role in self._survey.failures:
            section.remark(f"check: {role} could not be looked at, so this is the template's own")
            self._note(section, "unseen", f"{role} could not be looked at")
            return True
        return role not in self._survey.versions

    def _note(self, section: Section, state: str, detail: str) -> None:
        self.remarks.append(Remark(section=section.name, state=state, detail=one_line(detail)))

    def _of(self, kind: str) -> list[Section]:
        return [section for section in self.sections if section.name.startswith(f"{kind}.")]

    def _missing(self, section: Section, reason: str) -> None:
        section.comment_out(f"not found: {reason}")
        self._note(section, "missing", reason)

    # -- relations -------------------------------------------------------------------------------------------------------

    def relations(self) -> None:
        """Each relation: kept, rewritten, or commented out with the reason."""
        for section in self._of("relations"):
            name = section.name.partition(".")[2]
            relation = self._relations[name]
            if self._unseen(section, relation.role):
                continue
            if relation.keys:
                self._keys(section, name, relation)
            elif relation.select:
                self._select(section, relation)
            elif name in self._matches:
                self._table(section, relation, self._matches[name])
            else:
                wanted = relation.table or f"{self._mongo_database}.{relation.collection}"
                self._missing(section, f"no {wanted}, and nothing with columns like its own")

    def _table(self, section: Section, relation: Relation, match: Match) -> None:
        own = relation.table or relation.collection
        reason = self._unusable(relation, match)
        if reason is not None:
            self._missing(section, f"{match.found.name} has {len(match.columns)} of {match.wanted} columns: {reason}")
            return
        key = "table" if relation.table else "collection"
        if match.found.name != own:
            section.replace_line(key, f"{key} = {toml_text(match.found.name)}")
        changed = [self._column(section, logical, column, match) for logical, column in relation.columns.items()]
        if isinstance(relation.where, str) and (where := renamed(relation.where, match.columns)) != relation.where:
            section.replace_line("where", f"where = {toml_text(where)}")
            changed.append(True)
        self.used.add(match.found.name)
        same = match.found.name == own and match.complete and not any(changed)
        counted = f"{match.found.name}, {len(match.columns)} of {match.wanted} columns"
        section.remark(f"found: {counted}" if same else f"found: {counted}; check")
        self._note(section, "found" if same else "like", counted)

    def _unusable(self, relation: Relation, match: Match) -> str | None:
        """Why a table cannot stand for a relation although it is the best there is."""
        for name in relation.key:
            if any(part not in match.columns for part in identifiers(relation.columns[name].column)):
                return f"none is like the key column {relation.columns[name].column}"
        if isinstance(relation.where, str):
            lost = [name for name in identifiers(relation.where) if name not in match.columns]
            if lost:
                # Without its condition the relation would be a wider one, and its verdicts wrong.
                return f"its condition ({relation.where}) needs {', '.join(lost)}"
        return None

    def _column(self, section: Section, logical: str, column: Column, match: Match) -> bool:
        """Map one column; whether that differs from the template."""
        lost = [name for name in identifiers(column.column) if name not in match.columns]
        if lost:
            section.comment_line(f"columns.{logical}", f"not found: nothing like {', '.join(lost)}")
            return True
        source = renamed(column.column, match.columns)
        kind = type_of(column, match.found.columns.get(source, ""), source)
        if source == column.column and kind == column.type:
            return False
        rewritten = column.model_copy(update={"column": source, "type": kind})
        section.replace_line(f"columns.{logical}", column_line(logical, rewritten))
        return True

    def _select(self, section: Section, relation: Relation) -> None:
        """A SELECT of the template's own fits as it stands, or not at all."""
        lost = lost_tables(relation.select or "", self._survey.tables.get(relation.role, ()))
        if lost:
            self._missing(section, f"the SELECT needs {', '.join(lost)}")
            return
        self.used |= selected_tables(relation.select or "")
        section.remark("found: every table that the SELECT reads")
        self._note(section, "found", "every table that the SELECT reads")

    def _keys(self, section: Section, name: str, relation: Relation) -> None:
        """Keys come and go, so a form that is not there stays mapped where others of the template are."""
        found = self._survey.redis
        if found is None:
            return
        if name == "im_token_misspellings":
            name, relation = "im_tokens", self._relations["im_tokens"]
        count = self._keys_of(relation)
        told = f"{count} of {relation.keys} in {'all' if found.complete else 'a sample of'} {len(found.keys)} keys"
        if count:
            section.remark(f"found: {told}")
            self._note(section, "found", told)
        elif self._keys_follow or not found.keys:
            section.remark(f"check: {told}; it may come and go, or the move may add it")
            self._note(section, "like", told)
        else:
            self._missing(section, told)

    def _keys_of(self, relation: Relation) -> int:
        pattern = KeyPattern(relation.keys or "")
        keys = self._survey.redis.keys if self._survey.redis else ()
        return sum(pattern.parse(key) is not None for key in keys)

    @property
    def _keys_follow(self) -> bool:
        """Whether this server's keys are named as the template names them."""
        forms = (item for name, item in self._relations.items() if item.keys and name != "im_token_misspellings")
        return any(self._keys_of(item) for item in forms)

    # -- channels and queues ---------------------------------------------------------------------------------------------

    def channels(self) -> None:
        """A channel is found when somebody listens on it."""
        for section in self._of("channels"):
            name = self._channels[section.name.partition(".")[2]]
            if self._unseen(section, "cache_redis") or self._survey.redis is None:
                continue
            if name in self._survey.redis.channels:
                section.remark(f"found: somebody listens on {name}")
                self._note(section, "found", f"somebody listens on {name}")
            elif self._keys_follow:
                section.remark(f"check: nobody listens on {name} now; the move takes it away")
                self._note(section, "like", f"nobody listens on {name}")
            else:
                heard = ", ".join(self._survey.redis.channels[:5]) or "no channel at all"
                self._missing(section, f"nobody listens on {name}; somebody does on: {heard}")

    def queues(self) -> None:
        """A queue is found by its name, or one that is spelled alike."""
        for section in self._of("queues"):
            queue = self._queues[section.name.partition(".")[2]]
            if self._unseen(section, "broker") or self._survey.broker is None:
                continue
            names = sorted({name for _, name in self._survey.broker.queues})
            alike = [queue.name] if queue.name in names else get_close_matches(queue.name, names, n=1, cutoff=0.75)
            if alike:
                self._queue(section, queue, alike[0])
            elif any(item.name in names for item in self._queues.values()):
                section.remark(f"check: there is no queue {queue.name} now; the move may have taken it away")
                self._note(section, "like", f"no queue {queue.name}")
            else:
                self._missing(section, f"no queue {queue.name}; there are: {', '.join(names[:5]) or 'none'}")

    def _queue(self, section: Section, queue: Queue, name: str) -> None:
        bindings = [item for item in (self._survey.broker.bindings if self._survey.broker else ()) if item[3] == name]
        self.used.add(f"queue {name}")
        bound = any((exchange, key) == (queue.exchange, queue.routing_key) for _, exchange, key, _ in bindings)
        if name != queue.name:
            section.replace_line("name", f"name = {toml_text(name)}")
        if not bound and len(bindings) == 1:
            section.replace_line("exchange", f"exchange = {toml_text(bindings[0][1])}")
            section.replace_line("routing_key", f"routing_key = {toml_text(bindings[0][2])}")
        elif not bound:
            for key in ("exchange", "routing_key"):
                section.comment_line(key, f"{len(bindings)} bindings lead to this queue")
        same = bound and name == queue.name
        told = f"queue {name}" + ("" if same else "; check its name and binding")
        section.remark(f"found: {told}")
        self._note(section, "found" if same else "like", told)
