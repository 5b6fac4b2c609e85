"""The URLs that a user gives to `verifier init`."""

from __future__ import annotations

from dataclasses import fields

from tests.verifier.init.surveys import ALL
from verifier.init.addresses import Addresses


def test_all_addresses_have_a_role() -> None:
    """Each address belongs to a role."""
    assert len(ALL.by_role()) == len(fields(Addresses))
