"""The assignment of canaries to pairs and batches."""

from __future__ import annotations

from load.config import RunOptions
from load.target import LoadConfig
from load.users.pairs import Batches, Pairs


def _config(*canaries: str, batch: int = 0) -> LoadConfig:
    options = RunOptions.parse({"batch": batch})
    return LoadConfig(options=options, api_url="", secret="", admin_user_id="", canaries=canaries)


def test_both_users_of_a_pair_are_in_one_worker() -> None:
    """Two workers take alternating pairs; a canary without a peer is not used."""
    config = _config("a", "b", "c", "d", "e")
    workers = [Pairs(config, worker=worker, workers=2) for worker in (0, 1)]
    assert [workers[0].take() for _ in range(3)] == [("a", "b"), ("b", "a"), None]
    assert [workers[1].take() for _ in range(3)] == [("c", "d"), ("d", "c"), None]


def test_all_senders_of_batches_have_the_same_receivers() -> None:
    """The receivers are the last of the named canaries and never send."""
    batches = Batches(_config("a", "b", "c", "d", batch=2), worker=0, workers=1)
    assert [batches.take() for _ in range(3)] == [("a", ("c", "d")), ("b", ("c", "d")), None]
