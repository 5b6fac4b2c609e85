"""Adapts the template's sections to a stack: roles, relations, channels and queues."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from verifier.init.addresses import Addresses, without_password
from verifier.init.expressions import logical_type, missing_objects, renamed, selected_tables
from verifier.init.matching import Match, identifiers, match_all
from verifier.init.sections import Section, column_line, one_line, split_sections, toml_text
from verifier.init.survey import Found, Survey
from verifier.profile.relations import Column, Queue, Relation
from verifier.profile.template import RoleUrls, TemplateValues, render_template
from verifier.stores.redis.keys import KeyPattern

VARIABLES = {
    "user_db": "USER_DB_URL",
    "chat_db": "CHAT_DB_URL",
    "chat_mongo": "CHAT_MONGO_URL",
    "cache_redis": "CACHE_REDIS_URL",
    "broker": "RABBITMQ_MANAGEMENT_URL",
    "openim": "OPENIM_API_URL",
}

State = Literal["found", "similar", "missing", "not_inspected"]


@dataclass(frozen=True, kw_only=True)
class Remark:
    """The result for one section.

    `found`: its object is there, as in the template. `similar`: a guess that the user has to check. `missing`: commented out.
    `not_inspected`: its store was not inspected.
    """

    section: str
    state: State
    detail: str


class SectionWriter:
    """Goes through the template's sections and changes each according to the survey.

    Attributes:
        sections: the sections, changed by `write`.
        remarks: what was found for each.
        used: the names of the objects that the draft maps.
        shown_urls: the given URLs without their secrets, by environment variable.
    """

    def __init__(self, stack: str, addresses: Addresses, survey: Survey) -> None:
        self._survey = survey
        self._given = addresses.by_role()
        self.shown_urls = {VARIABLES[role]: without_password(url) for role, url in self._given.items()}
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

    def write(self) -> None:
        """Change all sections."""
        self._write_roles()
        self._write_relations()
        self._write_channels()
        self._write_queues()

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
        """The vhost that all queues are in, else the default."""
        vhosts = {vhost for vhost, _ in self._survey.broker.queues} if self._survey.broker else set()
        return vhosts.pop() if len(vhosts) == 1 else "/"

    def _identity(self) -> str:
        """OpenIM refuses dashes, so they are removed from ids of type uuid; other ids are used as they are."""
        users = next((item for item in self._survey.tables.get("user_db", ()) if item.name == "public.users"), None)
        return "strip_dashes" if users is None or users.columns.get("id") == "uuid" else "same"

    # -- roles -----------------------------------------------------------------------------------------------------------

    def _write_roles(self) -> None:
        """Comment out the roles without an address. Without any address the template stays as it is."""
        for section in self._of("roles"):
            role = section.name.partition(".")[2]
            if self._absent(role):
                section.comment_out(f"no address was given for {role}")
            elif role == "openim" and role in self._given:
                section.comment_line("ws_url", "for information: the canary connects through the platform's gateway")
                section.remark(
                    "not inspected: OpenIM answers administrators only; `verifier doctor` tests secret and admin_user_id"
                )
            elif role == "broker" and role in self._given:
                section.comment_line(
                    "amqp_url", "distinguishes a queue that is missing from one that is hidden from this user"
                )
            elif role == "session_redis" and role in self._given:
                section.remark("the same server as cache_redis; change it if sessions are on another one")

    def _absent(self, role: str) -> bool:
        needs = "cache_redis" if role == "session_redis" else role
        return bool(self._given) and needs not in self._given

    def _not_inspected(self, section: Section, role: str) -> bool:
        """Whether the role of a section was not inspected: no address, or a failure. If so, the section gets its remark."""
        role = "cache_redis" if role == "session_redis" else role
        if self._absent(role):
            section.comment_out(f"no address was given for {role}")
            self._note(section, "not_inspected", f"no address of {role}")
            return True
        if role in self._survey.failures:
            section.remark(f"check: {role} could not be inspected, so this is the template unchanged")
            self._note(section, "not_inspected", f"{role} could not be inspected")
            return True
        return role not in self._survey.versions

    def _note(self, section: Section, state: State, detail: str) -> None:
        self.remarks.append(Remark(section=section.name, state=state, detail=one_line(detail)))

    def _of(self, kind: str) -> list[Section]:
        return [section for section in self.sections if section.name.startswith(f"{kind}.")]

    def _missing(self, section: Section, reason: str) -> None:
        section.comment_out(f"not found: {reason}")
        self._note(section, "missing", reason)

    # -- relations -------------------------------------------------------------------------------------------------------

    def _write_relations(self) -> None:
        """Keep, rewrite, or comment out each relation."""
        for section in self._of("relations"):
            name = section.name.partition(".")[2]
            relation = self._relations[name]
            if self._not_inspected(section, relation.role):
                continue
            if relation.keys:
                self._keys(section, name, relation)
            elif relation.select:
                self._select(section, relation)
            elif name in self._matches:
                self._table(section, relation, self._matches[name])
            else:
                wanted = relation.table or f"{self._mongo_database}.{relation.collection}"
                self._missing(section, f"no {wanted}, and nothing with similar columns")

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
        self._note(section, "found" if same else "similar", counted)

    def _unusable(self, relation: Relation, match: Match) -> str | None:
        """Why the best matching table cannot be used for a relation; None if it can."""
        for name in relation.key:
            if any(part not in match.columns for part in identifiers(relation.columns[name].column)):
                return f"none is similar to the key column {relation.columns[name].column}"
        if isinstance(relation.where, str):
            missing = [name for name in identifiers(relation.where) if name not in match.columns]
            if missing:
                # Without its condition the relation would have more records, and its verdicts would be wrong.
                return f"its condition ({relation.where}) needs {', '.join(missing)}"
        return None

    def _column(self, section: Section, logical: str, column: Column, match: Match) -> bool:
        """Map one column. Returns whether the line differs from the template."""
        missing = [name for name in identifiers(column.column) if name not in match.columns]
        if missing:
            section.comment_line(f"columns.{logical}", f"not found: nothing similar to {', '.join(missing)}")
            return True
        source = renamed(column.column, match.columns)
        kind = logical_type(column, match.found.columns.get(source, ""), source)
        if source == column.column and kind == column.type:
            return False
        rewritten = column.model_copy(update={"column": source, "type": kind})
        section.replace_line(f"columns.{logical}", column_line(logical, rewritten))
        return True

    def _select(self, section: Section, relation: Relation) -> None:
        """Keep a SELECT of the template unchanged, or comment it out."""
        missing = missing_objects(relation.select or "", self._survey.tables.get(relation.role, ()))
        if missing:
            self._missing(section, f"the SELECT needs {', '.join(missing)}")
            return
        self.used |= selected_tables(relation.select or "")
        section.remark("found: all tables that the SELECT reads")
        self._note(section, "found", "all tables that the SELECT reads")

    def _keys(self, section: Section, name: str, relation: Relation) -> None:
        """Keys come and go: a pattern without a key now stays mapped if others of the template have some."""
        found = self._survey.redis
        if found is None:
            return
        if name == "im_token_misspellings":
            name, relation = "im_tokens", self._relations["im_tokens"]
        count = self._keys_of(relation)
        counted = f"{count} of {relation.keys} in {'all' if found.complete else 'a sample of'} {len(found.keys)} keys"
        if count:
            section.remark(f"found: {counted}")
            self._note(section, "found", counted)
        elif self._keys_are_the_templates or not found.keys:
            section.remark(f"check: {counted}; such keys may come and go, or the move may add them")
            self._note(section, "similar", counted)
        else:
            self._missing(section, counted)

    def _keys_of(self, relation: Relation) -> int:
        pattern = KeyPattern(relation.keys or "")
        keys = self._survey.redis.keys if self._survey.redis else ()
        return sum(pattern.parse(key) is not None for key in keys)

    @property
    def _keys_are_the_templates(self) -> bool:
        """Whether this server's keys are named as the template names them."""
        patterns = (item for name, item in self._relations.items() if item.keys and name != "im_token_misspellings")
        return any(self._keys_of(item) for item in patterns)

    # -- channels and queues ---------------------------------------------------------------------------------------------

    def _write_channels(self) -> None:
        """A channel counts as found if it has subscribers."""
        for section in self._of("channels"):
            name = self._channels[section.name.partition(".")[2]]
            if self._not_inspected(section, "cache_redis") or self._survey.redis is None:
                continue
            if name in self._survey.redis.channels:
                section.remark(f"found: {name} has subscribers")
                self._note(section, "found", f"{name} has subscribers")
            elif self._keys_are_the_templates:
                section.remark(f"check: {name} has no subscribers now; the move takes them away")
                self._note(section, "similar", f"{name} has no subscribers")
            else:
                others = ", ".join(self._survey.redis.channels[:5]) or "none"
                self._missing(section, f"{name} has no subscribers; channels that have some: {others}")

    def _write_queues(self) -> None:
        """A queue is found by its name, or by a similar one."""
        for section in self._of("queues"):
            queue = self._queues[section.name.partition(".")[2]]
            if self._not_inspected(section, "broker") or self._survey.broker is None:
                continue
            names = sorted({name for _, name in self._survey.broker.queues})
            similar = [queue.name] if queue.name in names else get_close_matches(queue.name, names, n=1, cutoff=0.75)
            if similar:
                self._queue(section, queue, similar[0])
            elif any(item.name in names for item in self._queues.values()):
                section.remark(f"check: there is no queue {queue.name} now; the move may have removed it")
                self._note(section, "similar", f"no queue {queue.name}")
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
                section.comment_line(key, f"this queue has {len(bindings)} bindings")
        same = bound and name == queue.name
        detail = f"queue {name}" + ("" if same else "; check its name and binding")
        section.remark(f"found: {detail}")
        self._note(section, "found" if same else "similar", detail)
