"""A profile with faults is refused with a clear message; a valid one does not show its secrets."""

import pytest

from verifier.profile import Profile, ProfileError, parse_profile
from verifier.profile.template import TemplateValues, render_template

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
    """The template is a valid profile once its variables are set, and its `repr` shows no secret."""
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
            ("[since]", "[since]\ncutover = 2026-01-02\nfrozen = 2026-01-01"),
            "phase frozen begins before phase cutover",
        ),
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
def test_faults_are_named(change: tuple[str, str], says: str) -> None:
    """The message names the setting and what would be right, and shows no secret."""
    assert change[0] in TEMPLATE
    with pytest.raises(ProfileError, match=says.replace("[", r"\[")) as caught:
        template(TEMPLATE.replace(*change))
    assert "s3cret" not in str(caught.value)
