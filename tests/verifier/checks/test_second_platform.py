"""A platform with another schema is judged with its own profile; nothing of the reference platform is built in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import fixtures.blueprints.second_platform as blueprint
from fixtures.blueprints.second_platform_breaches import BREACHES, plant
from fixtures.blueprints.second_platform_seed import seed
from fixtures.stack.stack import Stack
from verifier.checks.catalogue import load_checks
from verifier.engine.plan import make_plan
from verifier.engine.session import execute
from verifier.history import History, RunKind
from verifier.model.verdict import Outcome, Verdict
from verifier.profile import Profile, parse_profile

PROFILE = Path(blueprint.__file__).with_name("second_platform.toml")
FROZEN = ("CNV-02",)


@pytest.fixture(scope="module")
def shape(stack: Stack) -> Iterator[blueprint.SecondPlatform]:
    """The second platform, healthy, in the middle of its move."""
    world = stack.new_world("second", platform=False, broker=False)
    try:
        yield asyncio.run(seed(world.config, accounts=30))
    finally:
        world.close()


def profile_of(shape: blueprint.SecondPlatform, phase: str, *, text: str = "") -> Profile:
    """Its profile in a phase, or another text of it."""
    config = shape.config
    return parse_profile(
        (text or PROFILE.read_text(encoding="utf-8")).replace('phase = "cutover"', f'phase = "{phase}"'),
        environment={
            "MOVED_AT": datetime.fromtimestamp(shape.moved_ms / 1000, UTC).isoformat(),
            "DB_URL": config.verifier.user_db,
            "MONGO_URL": config.verifier.mongo,
            "MONGO_DATABASE": config.mongo_database,
            "TOKEN_REDIS_URL": config.verifier.redis,
            "LOGIN_REDIS_URL": shape.session_redis,
            "OPENIM_API": config.openim_api,
            "OPENIM_SECRET": config.openim_secret,
            "OPENIM_ADMIN": config.openim_verifier_admin,
        },
    )


def judge(shape: blueprint.SecondPlatform, history: History, kind: RunKind = RunKind.RUN) -> dict[str, Outcome]:
    """All checks in cutover, and those of `FROZEN` in frozen."""
    outcomes: dict[str, Outcome] = {}
    for phase, only in (("cutover", ()), ("frozen", FROZEN)):
        profile = profile_of(shape, phase)
        plan = make_plan(load_checks(), profile, only=only)
        result = execute(profile, plan, history, kind=kind, handle=lambda event: None)
        outcomes |= {item.check_id: item for item in result.outcomes}
    return outcomes


def findings(outcomes: dict[str, Outcome], verdict: Verdict) -> dict[str, object]:
    """The reasons and findings of the checks with a verdict."""
    return {
        name: (item.judgement.reason, item.judgement.findings)
        for name, item in outcomes.items()
        if item.verdict is verdict
    }


def test_breaches_are_found_on_another_platform(shape: blueprint.SecondPlatform) -> None:
    """The healthy world holds; then each planted breach is found by its check and by no other."""
    with History.open("memory:", stack="second-shape") as history:
        judge(shape, history, RunKind.BASELINE)
        healthy = judge(shape, history)
        assert findings(healthy, Verdict.INCONCLUSIVE) == {}
        assert findings(healthy, Verdict.VIOLATED) == {}
        assert sum(item.verdict is Verdict.HOLDS for item in healthy.values()) >= 15
        planted = {name: asyncio.run(plant(shape, name)) for name in BREACHES}
        broken = judge(shape, history)
    assert findings(broken, Verdict.INCONCLUSIVE) == {}
    assert findings(broken, Verdict.VIOLATED).keys() == planted.keys()
    for name, key in planted.items():
        (found,) = broken[name].judgement.findings
        assert key in f"{found.raw_key} {found.summary}"


def test_an_openim_that_others_use_is_judged_by_its_prefix(shape: blueprint.SecondPlatform) -> None:
    """Users and groups of another application are not accused, and do not hide those of this platform."""
    asyncio.run(_share(shape))
    text = PROFILE.read_text(encoding="utf-8").replace(
        "[roles.openim]", '[roles.openim]\nid_prefix = "hb"\ngroup_id_prefix = ""'
    )
    profile = profile_of(shape, "cutover", text=text)
    with History.open("memory:", stack="second-shape") as history:
        plan = make_plan(load_checks(), profile, only=("USR-02", "USR-03", "USR-04", "GRP-05"))
        result = execute(profile, plan, history, kind=RunKind.RUN, handle=lambda event: None)
    found = {item.check_id: [finding.raw_key for finding in item.judgement.findings] for item in result.outcomes}
    assert [name for name, keys in found.items() if keys] == ["USR-02", "GRP-05"]
    assert "hb999999" in found["USR-02"][0]
    assert len(found["USR-02"]) == len(found["GRP-05"]) == 1
    assert {item.check_id: item.verdict for item in result.outcomes}["USR-04"] is Verdict.HOLDS


async def _share(shape: blueprint.SecondPlatform) -> None:
    """Another application's users and its group with two owners; a stranger with this platform's prefix, and a group of ours
    with two owners."""
    async with blueprint.opened(shape.config) as stores:
        ours = [blueprint.openim_id(number) for number in shape.live[:2]]
        others = ["zz1", "zz2"]
        await stores.im.user_register(
            [{"userID": name, "nickname": name, "faceURL": ""} for name in (*others, "hb999999")]
        )
        for first, second in (ours, others):
            group = await stores.im.create_group(first, name="Two owners")
            await stores.im.invite_user_to_group(group["groupID"], [second])
            body = {"groupID": group["groupID"], "oldOwnerUserID": first, "newOwnerUserID": second}
            for _ in range(2):
                await stores.im.call("/group/transfer_group", body)
