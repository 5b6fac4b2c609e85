"""OpenIM is reached by POST to routes that only read."""

import pytest

from verifier.stores.openim.guard import READ_ROUTES, is_read_request


@pytest.mark.parametrize("route", sorted(READ_ROUTES))
def test_routes_that_read(route: str) -> None:
    """A route on the list passes with POST alone."""
    assert is_read_request("POST", route)
    assert not is_read_request("GET", route)


@pytest.mark.parametrize(
    "route", ["/auth/get_user_token", "/auth/force_logout", "/msg/send_msg", "/user/user_register", "/restart", ""]
)
def test_other_routes_are_refused(route: str) -> None:
    """`get_user_token` creates a token and kicks others, whatever its name says [F24]."""
    assert not is_read_request("POST", route)
