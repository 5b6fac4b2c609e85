"""URLs with passwords that hold reserved characters."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.model.urls import passwords_in, quoted_url


@pytest.mark.parametrize(
    ("url", "quoted"),
    [
        ("postgresql://u:a@b@host:5432/db?x=1", "postgresql://u:a%40b@host:5432/db?x=1"),
        ("redis://:p%w d@host/3", "redis://:p%25w%20d@host/3"),
        ("mongodb://u:p:w@h1:1,h2:2/db?authSource=a@b", "mongodb://u:p%3Aw@h1:1,h2:2/db?authSource=a@b"),
        ("amqp://u:p%40w@host/%2F", "amqp://u:p%40w@host/%2F"),
        ("http://host:15672", "http://host:15672"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
        ("host=db dbname=x", "host=db dbname=x"),
    ],
)
def test_credentials_are_quoted_and_the_rest_is_kept(url: str, quoted: str) -> None:
    """What is encoded already stays as it is."""
    assert quoted_url(url) == quoted


@pytest.mark.parametrize("password", ["a/b", "a?b", "a#b", "x@y/z", "pass#word@1"])
def test_what_ends_a_password_is_refused_without_showing_it(password: str) -> None:
    """Nobody can tell where such a password ends."""
    with pytest.raises(ValueError, match="%23") as error:
        quoted_url(f"redis://user:{password}@host:1/0")
    assert password not in str(error.value)


def test_the_last_at_may_end_a_password() -> None:
    """Where no `@` is elsewhere, as in a URL of Redis, a password may hold anything."""
    url = quoted_url("unix://:a/b?c#d@e@/run/redis.sock?db=1", last_at=True)
    assert url == "unix://:a%2Fb%3Fc%23d%40e@/run/redis.sock?db=1"


@given(st.text(min_size=1))
def test_an_encoded_password_is_read_back(password: str) -> None:
    """As the driver reads it, and as it is hidden in output."""
    written = quote(password, safe="", errors="replace")
    url = quoted_url(f"redis://u:{written}@host:1/0")
    assert urlsplit(url).hostname == "host"
    assert unquote(urlsplit(url).password or "") == unquote(written)
    assert passwords_in(url) == {written, unquote(written)} - {"u"}


@given(st.text(st.characters(exclude_characters="/?#%", exclude_categories=["Cs"]), min_size=1))
def test_a_password_without_reserved_characters_needs_no_encoding(password: str) -> None:
    """`@`, `:`, spaces and any script."""
    url = quoted_url(f"redis://u:{password}@host:1/0")
    assert urlsplit(url).hostname == "host"
    assert unquote(urlsplit(url).password or "") == password
