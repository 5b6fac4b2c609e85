"""References to secrets."""

from __future__ import annotations

import pytest

from tests.verifier.profile.test_load import TEMPLATE
from verifier.profile import ProfileError, parse_profile


def test_a_missing_variable_is_named() -> None:
    """The message names the setting and the variable."""
    with pytest.raises(ProfileError, match=r"roles.user_db.url: the environment variable USER_DB_URL is not set"):
        parse_profile(TEMPLATE, environment={})
