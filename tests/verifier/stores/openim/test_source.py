"""Look-ups and pages of OpenIM's REST API over the double: what an answer does not name is unknown, and what is absent is proven so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fixtures.clients.openim_rest import OpenIMRest
from fixtures.services.openim_double import DoubleProcess, running_double
from fixtures.services.strange_proxy import Asked, Reply, StrangeProxy, Twist, untouched
from fixtures.services.twists import HARMLESS, LYING
from verifier.profile.budgets import StoreBudget
from verifier.profile.roles import OpenIMRole
from verifier.stores.builtin.table import BUILT_IN
from verifier.stores.errors import PartialAnswer, StoreError, TooLarge
from verifier.stores.openim.client import OpenIMClient
from verifier.stores.openim.source import OpenIMSource

pytestmark = [pytest.mark.anyio, pytest.mark.long]

USERS = [f"shop_{number:02d}" for number in range(23)]
GROUPS = [f"shop_g{number}" for number in range(5)]
UNKNOWN = "shop_nobody"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoubleProcess]:
    """An OpenIM with 23 users, 5 groups of theirs, friends and a chat, and two users and a group of another application."""
    with running_double(tmp_path_factory.mktemp("double") / "log") as process:
        yield process


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the fixtures of the module."""
    return "asyncio"


@pytest.fixture(scope="module")
async def populated(double: DoubleProcess) -> DoubleProcess:
    """The double, populated."""
    async with double.client() as im:
        await _populate(im)
    return double


async def _populate(im: OpenIMRest) -> None:
    everybody = [*USERS, "other_1", "other_2"]
    await im.user_register([{"userID": name, "nickname": name.upper(), "faceURL": ""} for name in everybody])
    for name in GROUPS:
        await im.create_group(USERS[0], name=name, group_id=name)
        await im.invite_user_to_group(name, USERS[1:13])
    await im.create_group("other_1", name="theirs", group_id="other_g")
    await im.import_friends(USERS[0], USERS[1:6])
    for peer in USERS[1:6]:
        await im.send_msg(USERS[0], {"content": "hello"}, recv_id=peer)


@pytest.fixture(scope="module")
async def truth(populated: DoubleProcess) -> dict[str, Rows]:
    """The records of every relation, without a proxy."""
    async with _client(populated.api_url, populated) as client:
        return {relation: (await _look_up(_source(client, relation), asked))[0] for relation, asked in ASKED.items()}


@pytest.fixture
def proxy(populated: DoubleProcess) -> Iterator[StrangeProxy]:
    """A proxy before it."""
    with StrangeProxy(populated.api_url) as proxy:
        yield proxy


@asynccontextmanager
async def _client(url: str, double: DoubleProcess, **more: Any) -> AsyncIterator[OpenIMClient]:
    config = {"api_url": url, "secret": double.secret, "admin_user_id": double.admin, "batch_size": 5, **more}
    role = OpenIMRole.model_validate({"i_know_this_demotes_other_tokens": True, "operation_timeout_s": 5, **config})
    client = OpenIMClient("openim", role, StoreBudget(statements_per_s=5000))
    await client.connect()
    try:
        yield client
    finally:
        await client.close()


def _source(client: OpenIMClient, relation: str) -> OpenIMSource:
    return OpenIMSource(client, relation, BUILT_IN[relation].key)


async def _look_up(source: OpenIMSource, values: Sequence[str]) -> tuple[Rows, set[str]]:
    column = source.key[0]
    try:
        return [dict(row) for row in await source.lookup(column, values)], set()
    except PartialAnswer as partial:
        return [dict(row) for row in partial.rows], set(partial.unanswered)


ASKED = {
    "openim.accounts": (*USERS, UNKNOWN),
    "openim.users": (*USERS, UNKNOWN),
    "openim.groups": (*GROUPS, UNKNOWN),
    "openim.conversation_ids": (USERS[0], USERS[1], USERS[20], UNKNOWN),
    "openim.conversations": (USERS[0], USERS[1], USERS[20], UNKNOWN),
    "openim.friends": (USERS[0], USERS[1], USERS[20]),
    "openim.group_members": (*GROUPS[:2], UNKNOWN),
    "openim.group_owners": (*GROUPS[:2], UNKNOWN),
    "openim.joined_groups": (USERS[0], USERS[1], USERS[20], UNKNOWN),
}


@pytest.mark.parametrize("relation", ASKED)
async def test_a_whole_answer_leaves_nothing_open(populated: DoubleProcess, relation: str) -> None:
    """Without a proxy every id is answered, an unknown one too: it is absent, and that is proven."""
    async with _client(populated.api_url, populated) as client:
        rows, unanswered = await _look_up(_source(client, relation), ASKED[relation])
    assert unanswered == set()
    assert rows
    assert not [row for row in rows if UNKNOWN in row.values()]


@pytest.mark.parametrize("twist", LYING)
async def test_a_lying_answer_is_no_absence(
    populated: DoubleProcess, truth: dict[str, Rows], proxy: StrangeProxy, twist: str
) -> None:
    """Whatever was changed on the way, in every relation: each id has its true records, or it is unanswered."""
    wrong = {}
    async with _client(proxy.url, populated) as client:
        proxy.twist = LYING[twist]
        for relation, asked in ASKED.items():
            rows, unanswered = await _look_up(_source(client, relation), asked)
            column = BUILT_IN[relation].key[0]
            for value in asked:
                if value not in unanswered and _of(rows, column, value) != _of(truth[relation], column, value):
                    wrong[relation] = value
    assert wrong == {}


def _of(rows: Rows, column: str, value: str) -> list[str]:
    return sorted(str(row) for row in rows if row[column] == value)


async def test_unanswered_ids_are_named_with_the_rows_of_the_others(
    populated: DoubleProcess, proxy: StrangeProxy
) -> None:
    """The error has the rows of the ids that were answered, the others as they were asked for, and the reason in its sentence."""
    async with _client(proxy.url, populated) as client:
        proxy.twist = LYING["every second item is missing"]
        with pytest.raises(PartialAnswer, match=r"did not answer for \d+ of 23 .* does not name them") as caught:
            await _source(client, "openim.accounts").lookup("user_id", USERS)
    answered = {row["user_id"] for row in caught.value.rows}
    assert answered | set(caught.value.unanswered) == set(USERS)
    assert 0 < len(answered) < 23


@pytest.mark.parametrize("twist", HARMLESS)
async def test_an_unusual_answer_is_read(populated: DoubleProcess, proxy: StrangeProxy, twist: str) -> None:
    """Short waits, small requests and other encodings change nothing."""
    async with _client(proxy.url, populated) as client:
        proxy.twist = HARMLESS[twist]
        rows, unanswered = await _look_up(_source(client, "openim.accounts"), ASKED["openim.accounts"])
    assert (len(rows), unanswered) == (23, set())


async def test_a_request_that_is_too_large_even_alone(populated: DoubleProcess, proxy: StrangeProxy) -> None:
    """Batches become smaller down to one id; then the refusal is the answer."""
    async with _client(proxy.url, populated) as client:
        proxy.twist = lambda asked: Reply(status=413)
        with pytest.raises(TooLarge, match="HTTP 413"):
            await _source(client, "openim.users").lookup("user_id", USERS)
        assert client.batch_size == 1


# ---- pages ----


async def _pages(source: OpenIMSource) -> list[str]:
    return [row[source.key[-1]] async for chunk in source.chunks() for row in chunk]


async def test_pages_have_every_user_once(populated: DoubleProcess) -> None:
    """The number of users is that of OpenIM's total, and nothing is hidden."""
    async with _client(populated.api_url, populated) as client:
        source = _source(client, "openim.users")
        names = await _pages(source)
        known = await source.completeness()
    assert sorted(names) == sorted([*USERS, "other_1", "other_2"])
    assert (known.counted, known.hidden, known.unseen) == (25, (), ())


async def test_a_prefix_leaves_out_what_belongs_to_others(populated: DoubleProcess) -> None:
    """Users and groups of another application are not returned, and their number is in the coverage."""
    async with _client(populated.api_url, populated, id_prefix="shop_") as client:
        users, groups, members = (_source(client, f"openim.{name}") for name in ("users", "groups", "group_members"))
        assert sorted(await _pages(users)) == USERS
        assert sorted(await _pages(groups)) == GROUPS
        assert len(await _pages(members)) == 5 * 13
        accounts = [await source.completeness() for source in (users, groups, members)]
    assert [item.counted for item in accounts] == [23, 5, None]
    assert [item.unseen for item in accounts] == [
        ("2 users of other applications, whose ids begin differently",),
        ("1 groups of other applications, whose ids begin differently",),
        ("1 groups of other applications, whose ids begin differently",),
    ]


async def test_groups_may_have_ids_without_the_prefix(populated: DoubleProcess) -> None:
    """OpenIM makes group ids of digits unless one is given [F52]: with an empty prefix all groups are judged."""
    async with _client(populated.api_url, populated, id_prefix="shop_", group_id_prefix="") as client:
        assert sorted(await _pages(_source(client, "openim.groups"))) == sorted([*GROUPS, "other_g"])


def _one_skipped(asked: Asked) -> Reply:
    """The first user of the second page is left out, always."""
    reply = asked.forward()
    if asked.route == "/user/get_users" and asked.body["pagination"]["pageNumber"] == 2:
        data = reply.json
        del data["data"]["users"][0]
        return reply.with_json(data)
    return reply


def _skipped_once() -> Twist:
    """The same, the first time only."""
    seen: list[bool] = []

    def twist(asked: Asked) -> Reply:
        if asked.route == "/user/get_users" and asked.body["pagination"]["pageNumber"] == 2 and not seen:
            seen.append(True)
            return _one_skipped(asked)
        return asked.forward()

    return twist


async def test_a_user_that_no_page_has_is_said(populated: DoubleProcess, proxy: StrangeProxy) -> None:
    """The pages are read again, each user is returned once, and what is still lacking is hidden."""
    async with _client(proxy.url, populated) as client:
        proxy.twist = _one_skipped
        source = _source(client, "openim.users")
        assert len(await _pages(source)) == 24
        known = await source.completeness()
    assert known.counted is None
    assert known.hidden == ("OpenIM counts 25 users, and its pages had 24 different ones, read several times",)


async def test_a_user_that_one_reading_skipped_is_found_in_the_next(
    populated: DoubleProcess, proxy: StrangeProxy
) -> None:
    """Pages have no order, so they may skip a record [F39]."""
    async with _client(proxy.url, populated) as client:
        proxy.twist = _skipped_once()
        source = _source(client, "openim.users")
        assert len(await _pages(source)) == 25
        assert (await source.completeness()).hidden == ()


@pytest.mark.parametrize(
    ("twist", "said"),
    [
        (LYING["the first page again and again"], "same page again and again"),
        (LYING["the total is text"], "total is no number"),
        (LYING["numbers in quotes"], "in another form"),
        (LYING["items are no objects"], "in another form"),
        (LYING["items twice"], "instead of 5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_pages_that_make_no_sense_end(
    populated: DoubleProcess, proxy: StrangeProxy, twist: Callable[[Asked], Reply], said: str
) -> None:
    """The reading ends with a sentence, and does not go on for ever."""
    async with _client(proxy.url, populated) as client:
        proxy.twist = twist
        with pytest.raises(StoreError, match=said):
            await _pages(_source(client, "openim.users"))
    assert len(proxy.asked) < 40


async def test_a_group_that_cannot_be_read_whole_ends_the_reading(
    populated: DoubleProcess, proxy: StrangeProxy
) -> None:
    """Members who are not described are not left out silently."""
    async with _client(proxy.url, populated) as client:
        proxy.twist = lambda asked: (
            LYING["the last item is missing"](asked)
            if asked.route == "/group/get_group_members_info"
            else untouched(asked)
        )
        with pytest.raises(StoreError, match="cannot be read whole"):
            await _pages(_source(client, "openim.group_members"))


# ---- tokens and messages ----


async def test_a_token_is_answered_with_its_own_user(populated: DoubleProcess, proxy: StrangeProxy) -> None:
    """A valid token is valid, a kicked one is kicked; an answer about another token, or an empty one, is neither."""
    async with populated.client() as im:
        kicked, other = [(await im.get_user_token(name, 1)).token for name in USERS[7:9]]
        await im.force_logout(USERS[7], 1)
    async with _client(proxy.url, populated) as client:
        source = _source(client, "openim.tokens")
        assert await _look_up(source, [kicked, other]) == (
            [{"token": kicked, "state": 1506}, {"token": other, "state": 0}],
            set(),
        )
        for body in (
            b'{"errCode": 0, "data": null}',
            b'{"errCode": 500}',
            b'{"errCode": 1506}',
            b'{"errCode": 0, "data": {"userID": "x"}}',
        ):
            proxy.twist = lambda asked, body=body: Reply(body=body)  # type: ignore[misc]  # a default binds it
            assert await _look_up(source, [other]) == ([], {other}), body


async def test_a_pull_proves_that_a_message_is_gone(populated: DoubleProcess, proxy: StrangeProxy) -> None:
    """A seq behind the end of its conversation, and one of a conversation that its sender does not have, are gone. One that a pull
    leaves out is unknown."""
    chat = f"si_{USERS[0]}_{USERS[1]}".replace("shop_", "shop")
    async with populated.client() as im:
        await im.user_register([{"userID": name, "nickname": name, "faceURL": ""} for name in ("shop00", "shop01")])
        await im.send_msg("shop00", {"content": "kept"}, recv_id="shop01")
    async with _client(proxy.url, populated) as client:
        source = _source(client, "openim.canary_messages")
        rows, unanswered = await _look_up(source, [f"{chat}:1", f"{chat}:9", "si_shop00_shop77:1"])
        assert ([row["place"] for row in rows], unanswered) == ([f"{chat}:1"], set())
        proxy.twist = lambda asked: (
            Reply(body=b'{"errCode": 0, "data": {}}') if asked.route == "/msg/pull_msg_by_seq" else untouched(asked)
        )
        assert await _look_up(source, [f"{chat}:1"]) == ([], {f"{chat}:1"})


async def test_values_that_are_no_text_are_not_sent(populated: DoubleProcess) -> None:
    """Bytes that are not UTF-8 cannot be asked for, and the others are answered."""
    async with _client(populated.api_url, populated) as client:
        rows, unanswered = await _look_up(_source(client, "openim.accounts"), [USERS[0], "\udcff"])
    assert (rows, unanswered) == ([{"user_id": USERS[0]}], {"\udcff"})
