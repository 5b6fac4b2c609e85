"""PUB-02 and channels that belong to others."""

from __future__ import annotations

import pytest

from tests.verifier.checks.memory import Listed, judge, profile_of
from verifier.model.verdict import Verdict
from verifier.profile import ProfileError
from verifier.stores.protocols import StoreObject

pytestmark = pytest.mark.anyio

CHANNEL = '[channels.chat_notification]\nrole = "cache_redis"\nname = "talk.new"\n'


async def test_similar_channels_are_in_the_coverage_unless_foreign() -> None:
    """A channel of others is not mentioned; neither makes a breach."""
    profile = profile_of(CHANNEL + '[inventory]\nforeign_channels = ["shop.*"]', phase="frozen")
    similar = [
        StoreObject(kind="limitation", name=f"channel {name}", attributes={"channel": name})
        for name in ("talk.new:v2", "shop.talk.new")
    ]
    store = Listed(similar)
    (judged,) = await judge("PUB-02", profile, {"cache_redis": store})
    assert judged.verdict is Verdict.HOLDS
    assert {text for text in judged.coverage[0].unseen if text.startswith("channel ")} == {"channel talk.new:v2"}


def test_the_channel_itself_is_nobody_elses() -> None:
    """A pattern of others that matches it would hide it."""
    with pytest.raises(ProfileError, match=r"channels\.chat_notification is mapped"):
        profile_of(CHANNEL + '[inventory]\nforeign_channels = ["talk.*"]', phase="frozen")
