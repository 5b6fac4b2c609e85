"""The chat-service: each conversation is written in one home, before, during and after its move."""

from __future__ import annotations

import asyncio
from uuid import UUID

import httpx
import pytest

from fixtures.clients.gateway import Gateway, GatewayError, Session
from fixtures.clients.platform_admin import PlatformAdmin
from suites.selftest.platform.conftest import sign_up
from suites.selftest.platform.looking import Looking

pytestmark = pytest.mark.anyio


async def pair(gateway: Gateway) -> tuple[Session, Session, str]:
    """Two users and the ref of their chat."""
    alice, bob = await sign_up(gateway, "Alice"), await sign_up(gateway, "Bob")
    return alice, bob, await alice.open_chat(bob.user_id)


async def circle(gateway: Gateway) -> tuple[list[Session], str, str]:
    """Owner, admin and two members; the group's ref and the conversation's."""
    people = [await sign_up(gateway) for _ in range(4)]
    owner, deputy, *members = people
    group_ref, ref = await owner.create_group(
        "Círculo", [member.user_id for member in members], admin_ids=[deputy.user_id]
    )
    return people, group_ref, ref


async def test_legacy_message_is_written_everywhere(gateway: Gateway, stores: Looking) -> None:
    """A message of an unmoved chat leaves all that the "before" column names, and nothing in OpenIM."""
    people, _, ref = await circle(gateway)
    sent = await people[0].send(ref, "hello", mentions=[people[2].user_id])
    await people[2].read(ref, 1)
    state = await stores.legacy_state(ref)
    assert (sent["home"], sent["seq"], state["messages"]) == ("legacy", 1, 1)
    (conversation,) = await stores.chat_rows("SELECT * FROM conversations WHERE id = %(id)s", id=ref)
    assert conversation["last_message_at"] is not None
    (sequence,) = await stores.chat_rows(
        "SELECT last_seq FROM conversation_sequences WHERE conversation_id = %(id)s", id=ref
    )
    assert sequence["last_seq"] == 1
    assert len(list(state["reads"])) == 2  # type: ignore[call-overload]
    assert len(list(state["mentions"])) == 1  # type: ignore[call-overload]
    assert await stores.im.newest_seq(people[0].user_id.hex) == {}
    assert [message["text"] for message in await people[1].messages(ref)] == ["hello"]


async def test_moved_chat_writes_nothing_of_ours(gateway: Gateway, admin: PlatformAdmin, stores: Looking) -> None:
    """After its move a chat is sent, read and flagged without one legacy write, under its old name too."""
    alice, bob, ref = await pair(gateway)
    await alice.send(ref, "before")
    moved = await admin.move([UUID(ref)])
    before = await stores.legacy_state(ref)
    openim_ref = moved[UUID(ref)]
    sent = [await alice.send(ref, "after"), await bob.send(openim_ref, "as well")]
    await bob.read(ref, 1)
    await bob.set_flags(ref, pinned=True)
    assert [message["home"] for message in sent] == ["openim", "openim"]
    assert await stores.legacy_state(ref) == before
    assert [message["text"] for message in await bob.messages(ref)] == ["after", "as well"]
    (flags,) = await stores.chat_rows("SELECT * FROM conversation_flags WHERE user_id = %(id)s", id=bob.user_id)
    assert (flags["openim_conversation_id"], flags["pinned"]) == (openim_ref, True)
    (chat,) = await bob.chats()
    assert (chat["ref"], chat["home"], chat["last_seq"], chat["pinned"]) == (openim_ref, "openim", 2, True)


async def test_support_chat_never_moves(gateway: Gateway, admin: PlatformAdmin, stores: Looking) -> None:
    """Support chats are refused by a move and go on in our stores."""
    user = await sign_up(gateway)
    ref = await user.open_support()
    assert await user.open_support() == ref
    with pytest.raises(GatewayError, match="409"):
        await admin.move([UUID(ref)])
    await user.send(ref, "help")
    agent = await admin.create_admin_user(f"desk {ref}", "support")
    answer = await admin.answer_support(ref, agent, "gladly")
    assert answer["home"] == "legacy"
    assert (await stores.legacy_state(ref))["messages"] == 2


async def test_move_is_atomic_for_writers(gateway: Gateway, admin: PlatformAdmin, stores: Looking) -> None:
    """Messages sent while the chat moves land in one home each, and every legacy one is older than `since`."""
    alice, bob, ref = await pair(gateway)
    sending = [asyncio.create_task(speaker.send(ref, "…")) for speaker in (alice, bob) * 15]
    await asyncio.sleep(0.05)
    await admin.move([UUID(ref)])
    homes = [message["home"] for message in await asyncio.gather(*sending)]
    (scope,) = await stores.chat_rows("SELECT since FROM openim_scope WHERE conversation_id = %(id)s", id=ref)
    documents = await stores.messages.find({"conversation_id": ref}).to_list()
    assert len(documents) == homes.count("legacy")
    assert all(document["created_at"] <= scope["since"] for document in documents)
    assert len(await alice.messages(ref)) == homes.count("openim")


async def test_writers_and_moves_wait_for_one_another(gateway: Gateway, admin: PlatformAdmin, stores: Looking) -> None:
    """While somebody holds a legacy conversation, neither a message nor a move gets in; `since` is told afterwards."""
    alice, _, ref = await pair(gateway)
    async with stores.chats.transaction():
        await stores.chat_rows("SELECT FROM conversations WHERE id = %(id)s FOR UPDATE", id=ref)
        moving = asyncio.create_task(admin.move([UUID(ref)]))
        sending = asyncio.create_task(alice.send(ref, "in between"))
        done, _ = await asyncio.wait((moving, sending), timeout=0.5)
        (clock,) = await stores.chat_rows("SELECT clock_timestamp() AS now")
    assert done == set()
    await asyncio.gather(moving, sending)
    (scope,) = await stores.chat_rows("SELECT since FROM openim_scope WHERE conversation_id = %(id)s", id=ref)
    assert scope["since"] > clock["now"]


async def test_group_moves_with_roles_and_invites(gateway: Gateway, admin: PlatformAdmin, stores: Looking) -> None:
    """The OpenIM group has the same members and roles; codes made before the move lead there."""
    people, group_ref, ref = await circle(gateway)
    roles = await people[0].members(group_ref)
    code = await people[3].invite(group_ref)
    openim_ref = (await admin.move([UUID(ref)]))[UUID(ref)]
    openim_group = openim_ref.removeprefix("sg_")
    assert await people[0].members(openim_group) == roles
    (extension,) = await stores.chat_rows(
        "SELECT * FROM group_extensions WHERE openim_group_id = %(id)s", id=openim_group
    )
    assert str(extension["legacy_group_id"]) == group_ref
    (invite,) = await stores.chat_rows("SELECT * FROM group_invites WHERE code = %(code)s", code=code)
    assert (invite["openim_group_id"], invite["legacy_group_id"]) == (openim_group, None)
    before = await stores.legacy_state(ref)
    newcomer = await sign_up(gateway)
    assert await newcomer.join(code) == openim_ref
    assert (await newcomer.send(ref, "thanks"))["home"] == "openim"
    assert newcomer.user_id in await people[0].members(group_ref)
    assert await stores.legacy_state(ref) == before


async def test_rollback_and_second_move(gateway: Gateway, admin: PlatformAdmin, stores: Looking) -> None:
    """A group that comes back brings who joined meanwhile, and moves again into the same OpenIM group."""
    people, group_ref, ref = await circle(gateway)
    first = await admin.move([UUID(ref)])
    newcomer = await sign_up(gateway)
    await people[0].add_members(group_ref, [newcomer.user_id])
    await people[0].remove_member(group_ref, people[3].user_id)
    await admin.move_back([UUID(ref)])
    assert await stores.chat_rows("SELECT FROM openim_scope WHERE conversation_id = %(id)s", id=ref) == []
    assert (await newcomer.send(ref, "back"))["home"] == "legacy"
    with pytest.raises(GatewayError, match="404"):
        await people[3].send(ref, "still here?")
    assert await admin.move([UUID(ref)]) == first
    assert set(await people[0].members(group_ref)) == {session.user_id for session in (*people[:3], newcomer)}


async def test_strangers_see_nothing(gateway: Gateway, admin: PlatformAdmin) -> None:
    """Neither home lets somebody in who takes no part."""
    _, _, ref = await pair(gateway)
    stranger = await sign_up(gateway)
    for _ in ("legacy", "openim"):
        for attempt in (stranger.messages(ref), stranger.send(ref, "hi"), stranger.read(ref, 1)):
            with pytest.raises(GatewayError, match="404"):
                await attempt
        await admin.move([UUID(ref)])


async def test_flags_and_positions_of_legacy_chats(gateway: Gateway, stores: Looking) -> None:
    """Pinning an unmoved chat writes the legacy row; reading beyond the end is refused."""
    alice, bob, ref = await pair(gateway)
    await alice.send(ref, "one")
    await bob.set_flags(ref, archived=True)
    with pytest.raises(GatewayError, match="409"):
        await bob.read(ref, 2)
    (chat,) = await bob.chats()
    assert (chat["archived"], chat["last_seq"], chat["read_seq"]) == (True, 1, 0)
    assert await stores.chat_rows("SELECT FROM conversation_flags WHERE user_id = %(id)s", id=bob.user_id) == []


async def test_reports_name_their_targets_by_home(gateway: Gateway, admin: PlatformAdmin, stores: Looking) -> None:
    """A report of a user, a group or a message carries the id of the home that the target lives in."""
    people, group_ref, ref = await circle(gateway)
    reporter = people[1]
    old = await people[0].send(ref, "rude")
    legacy = [
        await reporter.report("user", str(people[0].user_id)),
        await reporter.report("group", group_ref),
        await reporter.report("message", old["message_id"], conversation_ref=ref),
    ]
    openim_ref = (await admin.move([UUID(ref)]))[UUID(ref)]
    new = await people[0].send(ref, "ruder")
    moved = [
        await reporter.report("group", group_ref),
        await reporter.report("message", new["message_id"], conversation_ref=ref),
        await reporter.report("message", old["message_id"], conversation_ref=ref),
    ]
    assert [report["target_id"] for report in legacy] == [str(people[0].user_id), group_ref, old["message_id"]]
    assert [report["conversation_ref"] for report in moved] == [None, openim_ref, ref]
    assert moved[0]["target_id"] == openim_ref.removeprefix("sg_")
    assert [report["snapshot"].get("text") for report in moved] == [None, "ruder", "rude"]
    with pytest.raises(GatewayError, match="404"):
        await reporter.report("message", "0" * 32, conversation_ref=ref)
    audit = await stores.chat_rows("SELECT FROM audit_log WHERE actor_id = %(id)s", id=reporter.user_id)
    assert len(audit) == len(legacy) + len(moved)


async def test_media_stays_reachable(gateway: Gateway, admin: PlatformAdmin, stores: Looking) -> None:
    """A file is catalogued, shown in either home, and answers GET and HEAD at its URL."""
    alice, bob, ref = await pair(gateway)
    media = await alice.upload(b"\x89PNG bytes", conversation_ref=ref)
    await alice.send(ref, "look", media_id=UUID(media["id"]))
    await admin.move([UUID(ref)])
    await alice.send(ref, "look again", media_id=UUID(media["id"]))
    (message,) = await bob.messages(ref)
    assert (message["type"], message["text"]) == ("media", "look again")
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(media["url"])).content == b"\x89PNG bytes"
        head = await client.head(media["url"])
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")
        assert (await client.head(media["url"][:-2] + "00")).status_code == 404
    (row,) = await stores.chat_rows("SELECT * FROM media_files WHERE id = %(id)s", id=media["id"])
    assert (row["url"], row["size_bytes"]) == (media["url"], 10)
