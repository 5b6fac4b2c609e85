"""A 1:1 chat before and after its conversation moves to OpenIM [D1] [D2]."""

from __future__ import annotations

from uuid import UUID

import allure
import pytest

from fixtures.clients.platform_admin import PlatformAdmin
from fixtures.clients.world import WorldConfig
from fixtures.platform.inspect import StoreInspector
from suites.journeys import match, must
from suites.journeys.actors import Actor
from suites.journeys.online import online

# As marks rather than allure's own decorators, which are untyped; they become the same labels.
label = pytest.mark.allure_label
pytestmark = [
    pytest.mark.anyio,
    label("Journeys", label_type="epic"),
    label("1:1 chat", label_type="feature"),
]

READ = 2200
"""OpenIM's notification of a read mark."""

QUIET_S = 1.0
"""Seconds in which nothing more may arrive."""


@label("before the move", label_type="story")
async def test_before_its_move_a_chat_is_in_the_legacy_stores(
    alice: Actor, bob: Actor, stores: StoreInspector, config: WorldConfig
) -> None:
    """Message in Mongo, sequence and ordering in PostgreSQL, one push to the offline user, nothing in OpenIM."""
    ref = await alice.session.open_chat(bob.session.user_id)
    first = await alice.says("Hello Bob", to=ref, for_=[bob])
    must.match(first, match.fields(home="legacy", seq=1), what="the acknowledgement")

    with allure.step("message and sequence are in the legacy stores"):
        state = await stores.legacy_state(ref)
        must.match(state, match.at("messages", match.equal(1)), match.at("sequence.0.last_seq", match.equal(1)))
        must.match(state, match.at("conversation.0.last_message_at", _is_set), what="the ordering")
        document = await stores.messages.find_one({"conversation_id": ref})
        must.match(document, match.at("content.text", match.equal("Hello Bob [m1]")), what="the document")

    if config.platform.amqp:
        with allure.step("bob, who is not connected, gets one push and no other"):
            await must.eventually(
                lambda: bob.chat_pushes(first["message_id"]), match.length(1), what="bob's pushes for the message"
            )
            await must.remain(
                lambda: bob.chat_pushes(first["message_id"]), match.length(1), what="bob's pushes", for_s=QUIET_S
            )
            await bob.watches_pushes(first["message_id"])

    await bob.says("Hello Alice", to=ref, for_=[alice])
    said = ["Hello Bob [m1]", "Hello Alice [m2]"]
    for actor in (alice, bob):
        must.match(await actor.reads(ref), match.equal(said), what=f"what {actor.name} reads")
    await bob.session.read(ref, 2)
    must.match((await stores.legacy_state(ref))["reads"], match.length(2), what="the read positions")

    with allure.step("OpenIM does not have the message"):
        conversation = "si_" + "_".join(sorted((alice.openim_id, bob.openim_id)))
        must.match(await alice.reads_in_openim(ref, conversation), match.equal([]), what="OpenIM")


@label("after the move", label_type="story")
async def test_after_its_move_a_chat_is_in_openim_only(
    alice: Actor, bob: Actor, admin: PlatformAdmin, stores: StoreInspector, config: WorldConfig
) -> None:
    """The legacy stores do not change, both users receive and read everything through OpenIM, nothing is pushed twice."""
    ref = await alice.session.open_chat(bob.session.user_id)
    await alice.session.send(ref, "said before the move")
    with allure.step("the conversation moves to OpenIM"):
        conversation = (await admin.move([UUID(ref)]))[UUID(ref)]
    before = await stores.legacy_state(ref)

    async with online(alice, bob, refs={conversation: ref}) as (alice_online, bob_online):
        first = await alice_online.says("Are we there yet?", to=bob, ref=ref, for_=[bob])
        second = await bob.says("Quite.", to=ref, for_=[alice])
        third = await bob_online.says("Is it nice?", to=alice, ref=ref, for_=[alice])
        must.match(second, match.fields(home="openim"), what="where the platform sent it")
        said = ["Are we there yet? [m1]", "Quite. [m2]", "Is it nice? [m3]"]

        for person in (alice_online, bob_online):
            name = person.actor.name
            with allure.step(f"{name} is pushed every message once, including the own ones"):
                await must.eventually(person.received, match.equal(said), what=f"what {name} receives")
                await must.remain(person.received, match.equal(said), what=f"what {name} receives", for_s=QUIET_S)
            must.match(await person.reads(conversation), match.equal(said), what=f"what {name} pulls")
            await _finds_in_openim(person.actor, ref, conversation, said)

        with allure.step("bob reads, and alice is notified"):
            await bob.session.read(ref, 3)
            await must.eventually(
                lambda: alice_online.notified(READ),
                match.some(match.fields(conversationID=conversation, hasReadSeq=3, markAsReadUserID=bob.openim_id)),
                what="alice's notifications of read marks",
            )

    with allure.step("bob's list shows one conversation, in OpenIM"):
        chats = await bob.session.chats()
        must.match(chats, match.length(1), match.at("0", match.fields(home="openim", ref=conversation, last_seq=3)))

    with allure.step("the legacy stores do not change: messages, sequence, ordering, reads, mentions"):
        await must.remain(
            lambda: stores.legacy_state(ref), match.equal(before), what="the legacy stores", for_s=QUIET_S
        )

    if config.platform.amqp:
        with allure.step("the platform's push worker sends nothing: OpenIM pushes now"):
            sent = ((bob, first.server_msg_id), (alice, second["message_id"]), (alice, third.server_msg_id))
            for actor, message_id in sent:
                must.match(await actor.chat_pushes(message_id), match.equal([]), what="the platform's pushes")
                await actor.watches_pushes(message_id)


async def _finds_in_openim(actor: Actor, ref: str, conversation: str, said: list[str]) -> None:
    """OpenIM has the messages for this user, and the app shows the same."""
    with allure.step(f"OpenIM has the messages for {actor.name}, and the app shows the same"):
        await must.eventually(
            lambda: actor.reads_in_openim(ref, conversation),
            match.equal(said),
            what=f"what {actor.name} finds in OpenIM",
        )
        must.match(await actor.reads(ref), match.equal(said), what=f"what {actor.name} reads")


def _is_set(value: object) -> str | None:
    return None if value is not None else "is not set"
