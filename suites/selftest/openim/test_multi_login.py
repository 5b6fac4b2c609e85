"""Multi-login policies, held against a second statement of each: what lives on, token by token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.openim.multi_login import MultiLogin

PLATFORMS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]
MOBILE, COMPUTERS, WEBS = {1, 2}, {3, 4, 7}, {5, 6}

Token = tuple[int, int]
"""Its platform, and how many of that platform are older."""


def kin(one: int, other: int) -> bool:
    """Whether two platforms are of one device class; what is no phone, computer or web page is a class of its own."""
    return any(one in group and other in group for group in (MOBILE, COMPUTERS, WEBS)) or not (
        {one, other} & (MOBILE | COMPUTERS | WEBS)
    )


def lives(policy: int, token: Token, living: set[Token], platform: int) -> bool:
    """Whether a token outlives the issue of a new one of `platform`."""
    own, age = token
    newest = (own, age + 1) not in living
    if policy == 1:
        return own != platform and newest
    if policy == 4:
        lower_kin = any(kin(own, other) and other < own for other, _ in living)
        return newest and not kin(own, platform) and not lower_kin
    if policy == 5:
        if own in COMPUTERS:
            return True
        beside = sorted({other for other, _ in living if other not in COMPUTERS})
        preferred = 2 if 2 in beside else beside[0]
        return platform in COMPUTERS and newest and own == preferred
    raise AssertionError(policy)


held_tokens = st.dictionaries(st.sampled_from(PLATFORMS), st.integers(0, 3))


@pytest.mark.parametrize("policy", [1, 4, 5])
@given(counts=held_tokens, platform=st.sampled_from(PLATFORMS))
def test_each_token_lives_or_is_kicked_as_stated_twice(policy: int, counts: dict[int, int], platform: int) -> None:
    """Any number of living tokens on any platforms, and any new one."""
    living = {(one, number) for one, count in counts.items() for number in range(count)}
    held = {one: [f"{one}/{number}" for number in range(count)] for one, count in counts.items()}
    kicked = MultiLogin(policy=policy).kicked_tokens(held, platform)
    assert kicked == {f"{one}/{age}" for one, age in living if not lives(policy, (one, age), living, platform)}


@given(counts=held_tokens, platform=st.sampled_from(PLATFORMS), most=st.integers(1, 3))
def test_policy_0_kicks_the_oldest_above_the_limit_only(counts: dict[int, int], platform: int, most: int) -> None:
    """Afterwards no platform holds more than the limit, none fewer than it could, and the youngest live on."""
    held = {one: [f"{one}/{number}" for number in range(count)] for one, count in counts.items()}
    kicked = MultiLogin(policy=0, max_tokens_per_platform=most).kicked_tokens(held, platform)
    for one, some in held.items():
        left = [token for token in some if token not in kicked]
        room = most - (one == platform)
        assert left == (some[-room:] if room else [])


@pytest.mark.parametrize("policy", [0, 1, 4, 5])
@pytest.mark.parametrize("other", PLATFORMS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_connections_end_as_stated_twice(policy: int, other: int, platform: int) -> None:
    """0 ends none, 1 the same platform, 4 the same class, 5 whatever is no computer, by what is none."""
    expected = {
        0: False,
        1: other == platform,
        4: kin(other, platform),
        5: not {other, platform} & COMPUTERS,
    }[policy]
    assert MultiLogin(policy=policy).ends_connection(other, platform) == expected


@pytest.mark.parametrize("policy", [-1, 2, 3, 6])
def test_other_policies_are_refused_with_a_sentence(policy: int) -> None:
    """The sentence names those that exist."""
    with pytest.raises(ValueError, match="0, 1, 4 and 5 exist"):
        MultiLogin(policy=policy)
