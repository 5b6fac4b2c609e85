"""A profile that cannot be used says what, where, and what would be right; a usable one keeps its secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.profile import Profile, ProfileError, parse_profile
from verifier.profile.identity import Identity
from verifier.profile.template import TemplateValues, render_template
from verifier.stores.redis.values import KeyPattern

ENVIRONMENT = {
    name: f"redis://u:s3cret@{name.lower()}/0"
    for name in "USER_DB_URL CHAT_DB_URL CHAT_MONGO_URL CACHE_REDIS_URL SESSION_REDIS_URL".split()
} | {
    "RABBITMQ_MANAGEMENT_URL": "http://u:s3cret@mq",
    "RABBITMQ_AMQP_URL": "amqp://u:s3cret@mq",
    "OPENIM_SECRET": "s3cret",
}
TEMPLATE = render_template(TemplateValues(stack="acme"))


def template(text: str = TEMPLATE) -> Profile:
    """The shipped template as a profile."""
    return parse_profile(text, environment=ENVIRONMENT)


def test_the_shipped_template_loads() -> None:
    """The template is a valid profile once its variables are set, and its secrets do not show."""
    profile = template()
    assert len(profile.relations) > 20
    assert "s3cret" not in repr(profile)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("[timing]", "[timing]\nsettle = 1"), "Did you mean 'settle_s'"),
        (('phase = "baseline"', 'phase = "thaw"'), "'baseline', 'registered', 'cutover'"),
        (('phase = "baseline"', 'phase = "frozen"'), "since.frozen is missing"),
        (
            ('role = "user_db"\ntable = "public.users"', 'role = "users_db"\ntable = "public.users"'),
            "there is no role 'users_db'",
        ),
        (('table = "public.users"', 'table = "public.users"\nselect = "SELECT 1"'), "exactly one of table, select"),
        (('key = "report_id"', 'key = "id"'), "key column 'id' is not among the columns"),
        (('admin_user_id = "ssotVerifier"', 'admin_user_id = "imAdmin"'), "demotes"),
        (("settle_s = 5", "settle_s = -5"), "timing.settle_s"),
        (("[scope]", "[scope"), "not valid TOML"),
        (
            ("[media]", '[[waivers]]\ncheck = "users"\nowner = "o"\nreason = "r"\nexpires = 2030-01-01\n[media]'),
            "not an invariant's ID",
        ),
    ],
)
def test_faults_are_told_in_a_sentence(change: tuple[str, str], says: str) -> None:
    """Each fault names the setting and what would be right, and never shows a secret."""
    assert change[0] in TEMPLATE
    with pytest.raises(ProfileError, match=says.replace("[", r"\[")) as caught:
        template(TEMPLATE.replace(*change))
    assert "s3cret" not in str(caught.value)


def test_a_missing_variable_is_named() -> None:
    """The sentence names the setting and the variable."""
    with pytest.raises(ProfileError, match=r"roles.user_db.url: the environment variable USER_DB_URL is not set"):
        parse_profile(TEMPLATE, environment={})


@given(st.uuids())
def test_stripped_uuids_map_back(user_id: object) -> None:
    """The identity rule is injective: OpenIM's id leads back to ours."""
    identity = Identity(kind="strip_dashes")
    assert identity.from_openim(identity.to_openim(user_id)) == str(user_id)


@given(st.text(min_size=1))
def test_prefixed_ids_map_back(user_id: str) -> None:
    """A prefix is taken off again, once."""
    identity = Identity(kind="prefix", prefix="app_")
    assert identity.from_openim(identity.to_openim(user_id)) == user_id
    assert identity.from_openim("other") is None


@given(st.text(min_size=1).filter(lambda text: "\x00" not in text))
def test_keys_are_read_back(user_id: str) -> None:
    """A key made from a pattern gives its placeholder back, whatever the id holds."""
    pattern = KeyPattern("im:token:{user_id}")
    key = pattern.key("user_id", user_id)
    assert key is not None
    assert pattern.parse(key) == {"user_id": user_id}


def test_other_keys_are_not_read() -> None:
    """Neighbouring prefixes are other keys; glob characters of the pattern are literal."""
    pattern = KeyPattern("im:token:{user_id}")
    assert pattern.parse("im:tokens:a") is None
    assert KeyPattern("a*b:{x}").glob == r"a\*b:*"
