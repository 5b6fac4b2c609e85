"""One mechanism of MongoDB at a time that hides or loses documents: no check holds over a breach, none accuses what is healthy (R9, R10)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.binary import UuidRepresentation

from fixtures.processes.proxy import Mode, Proxy
from fixtures.services.base import split_url
from fixtures.stack.stack import Stack
from tests.verifier.stores.hiding import BREACHES, Edit, HidingWorld, hiding_world, put

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

CHECKS = {check: BREACHES[check] for check in ("USR-01", "USR-07", "RPT-01", "TOK-01", "TOK-05")}
Act = Callable[[Any], Any]
FAR = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The embedded server stores no later one."""


@pytest.fixture(scope="module")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HidingWorld]:
    """The servers and the world of the whole matrix."""
    with hiding_world(stack, tmp_path_factory.mktemp("matrix"), "matrix_mongo") as opened:
        yield opened


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """`act`: switches it on, with the platform's database. `harmless`: hides nothing."""

    name: str
    act: Act = lambda _database: None
    edit: Edit = field(default_factory=put)
    harmless: bool = False


def keyed(name: str, bad: Any, *others: Any) -> Mechanism:
    """The report that is a breach has a key of another type than the others."""

    def act(database: Any) -> None:
        database["reports"].delete_one({"_id": "r-bad"})
        database["reports"].insert_many(
            [{"_id": key, "kind": "user", "target": "alice"} for key in others]
            + [{"_id": bad, "kind": "user", "target": "nobody"}]
        )

    return Mechanism(name=f"key: {name}", act=act, harmless=True)


def changed(name: str, collection: str, key: str, change: dict[str, Any], *, harmless: bool = False) -> Mechanism:
    """One document is changed."""
    return Mechanism(
        name=name, act=lambda database: database[collection].update_one({"_id": key}, change), harmless=harmless
    )


def by_another_key(database: Any) -> None:
    """The key is a field that the breach does not have, and that others repeat."""
    database["reports"].update_many({"_id": {"$ne": "r-bad"}}, {"$set": {"number": 7}})
    database["reports"].insert_many([{"number": 7, "kind": "user", "target": "alice"} for _ in range(7)])


def cut_views(database: Any) -> None:
    """The collections are views that show only some documents."""
    for name, first in (("people", -1), ("reports", -1), ("sessions", 1)):
        pipeline = [{"$sort": {"_id": first}}, {"$limit": 1}]
        database.command("create", f"seen_{name}", viewOn=name, pipeline=pipeline)


MECHANISMS = (
    Mechanism(name="none", harmless=True),
    keyed("integer", 7, 9, 3),
    keyed("integers of several types", Int64(2**60), 1, 2.5, Decimal128("3.5")),
    keyed("NaN", float("nan"), float("inf"), 0.0),
    keyed("Decimal128", Decimal128("1.50"), Decimal128("NaN"), Decimal128("1E+6000")),
    keyed("ObjectId", ObjectId(), ObjectId(), "x"),
    keyed("UUID", uuid.uuid4(), uuid.uuid4(), ObjectId()),
    keyed("UUID of an old driver", Binary.from_uuid(uuid.uuid4(), UuidRepresentation.JAVA_LEGACY), "x"),
    keyed("bytes", Binary(b"\xff\x00", 0), Binary(b"\x01", 128)),
    keyed("null", None, 5),
    keyed("boolean", True, False, 1),
    keyed("date", datetime(2026, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
    keyed("last date", FAR, datetime(2026, 1, 1, tzinfo=UTC)),
    keyed("timestamp", Timestamp(5, 1), Timestamp(5, 2)),
    keyed("document", {"b": 1, "a": 2}, {"a": 2, "b": 1}),
    keyed("smallest", MinKey(), MaxKey()),
    keyed("largest", MaxKey(), MinKey()),
    keyed("empty text", "", " "),
    Mechanism(name="key field is missing", act=by_another_key, edit=put(relations__reports__columns__report_id="number")),
    changed("target is missing", "reports", "r-bad", {"$unset": {"target": 1}}),
    changed("target is a list", "reports", "r-bad", {"$set": {"target": ["nobody"]}}),
    changed("target is a number", "reports", "r-bad", {"$set": {"target": 12}}),
    changed("last login of all", "people", "ghost", {"$set": {"last_login": FAR}}),
    changed("login is a text", "people", "ghost", {"$set": {"last_login": "2026-11-29T10:00:00Z"}}),
    changed("login is a number", "people", "ghost", {"$set": {"last_login": 1_900_000_000}}),
    changed("active is a word", "people", "dave", {"$set": {"active": "banned"}}),
    changed("last end of all", "sessions", "s3", {"$set": {"expires_at": FAR}}),
    changed("end is missing", "sessions", "s3", {"$unset": {"expires_at": 1}}, harmless=True),
    changed("end is a text", "sessions", "s3", {"$set": {"expires_at": "2099-01-01T00:00:00Z"}}),
    changed("end is a number", "sessions", "s3", {"$set": {"expires_at": 4_000_000_000_000}}),
    Mechanism(
        name="healthy end is a text",
        act=lambda database: database["sessions"].update_one({"_id": "s1"}, {"$set": {"expires_at": "2099-01-01"}}),
    ),
    Mechanism(name="views that are cut", act=cut_views, edit=put(
        relations__users__collection="seen_people", relations__reports__collection="seen_reports",
        relations__sessions__collection="seen_sessions")),
    Mechanism(name="collections that do not exist", edit=put(
        relations__users__collection="People", relations__reports__collection="Reports",
        relations__sessions__collection="Sessions")),
)  # fmt: skip


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda item: item.name)
def test_what_hides_documents(world: HidingWorld, mechanism: Mechanism) -> None:
    """Each check is violated or inconclusive; where nothing is hidden, each breach is found."""
    mechanism.act(world.documents())
    result = world.judge(mechanism.edit, only=tuple(CHECKS), place="chat_mongo")
    world.demand(mechanism.name, result, found=mechanism.harmless, breaches=CHECKS)


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG, Mode.RESET, Mode.CUT, Mode.SLOW], ids=lambda mode: mode.value)
def test_a_server_that_fails(world: HidingWorld, mode: Mode) -> None:
    """Every check is inconclusive or finds its breach; a slow server changes nothing."""
    world.documents()
    url = world.mongo.verifier
    with Proxy(*split_url(url, 27017)) as proxy:
        proxy.set_mode(mode, delay_s=0.005, cut_after_bytes=700)
        behind = url.replace(f":{split_url(url, 27017)[1]}/", f":{proxy.port}/")
        result = world.judge(put(roles__chat_mongo__url=behind), only=tuple(CHECKS), place="chat_mongo")
    world.demand(f"server: {mode.value}", result, found=mode is Mode.SLOW, breaches=CHECKS)
