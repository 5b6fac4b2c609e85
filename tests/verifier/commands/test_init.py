"""`verifier init` against running stacks: what it writes is a profile that works."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.blueprints import worlds
from fixtures.blueprints.second_platform_seed import seed
from fixtures.clients.world import WorldConfig
from fixtures.stack.stack import Stack
from verifier.checks.catalogue import load_checks
from verifier.commands.init import Addresses, write_draft
from verifier.engine.plan import make_plan
from verifier.engine.session import execute, open_history
from verifier.history import RunKind
from verifier.model.verdict import ExitCode
from verifier.profile import Profile, ProfileError, parse_profile

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Moving:
    """A platform in the middle of its move, and when that began."""

    config: WorldConfig
    began: datetime


def addresses_of(config: WorldConfig, *, chat_db: str = "") -> Addresses:
    """What a user types."""
    urls = config.verifier
    return Addresses(
        user_db=urls.user_db,
        chat_db=chat_db or urls.chat_db,
        mongo=urls.mongo,
        redis=urls.redis,
        rabbitmq=urls.rabbitmq_management or None,
        openim=config.openim_api,
    )


def loaded(text: str, config: WorldConfig, *, chat_db: str = "") -> Profile:
    """The profile, with the variables set that its head names."""
    urls = config.verifier
    environment = {
        "USER_DB_URL": urls.user_db,
        "CHAT_DB_URL": chat_db or urls.chat_db,
        "CHAT_MONGO_URL": urls.mongo,
        "CACHE_REDIS_URL": urls.redis,
        "RABBITMQ_MANAGEMENT_URL": urls.rabbitmq_management,
        "OPENIM_API_URL": config.openim_api,
        "OPENIM_SECRET": config.openim_secret,
    }
    return parse_profile(text, environment=environment)


@pytest.fixture(scope="module")
def moving(stack: Stack) -> Iterator[Moving]:
    """A platform in the middle of its move."""
    began = datetime.now(UTC)
    with stack.new_world() as world:
        asyncio.run(worlds.mid_migration(world.config, users=12))
        yield Moving(world.config, began)


def edited(text: str, config: WorldConfig, tmp_path: Path, *, began: datetime) -> str:
    """What a user has to add: the phase and its start, the verifier's administrator id, the place of the history."""
    text = text.replace('phase = "baseline"', 'phase = "registered"').replace(
        "ssotVerifier", config.openim_verifier_admin
    )
    text = text.replace("verifier-history.db", str(tmp_path / "history.db"))
    return re.sub(r"(?m)^\[since\].*$", f"[since]\nregistered = {began.isoformat()}", text)


def test_the_draft_works(moving: Moving, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every section is found. With the user's additions a baseline and a run hold, so the mapping is right."""
    config, output = moving.config, tmp_path / "stack.toml"
    assert write_draft(output, "acme", addresses_of(config), force=False) is ExitCode.HOLDS
    text = output.read_text()
    for secret in (config.openim_secret, *re.findall(r":([0-9a-f]{16,})@", str(config.verifier))):
        assert secret not in text + capsys.readouterr().out
    assert "# not found" not in text
    profile = loaded(edited(text, config, tmp_path, began=moving.began), config)
    plan = make_plan(load_checks(), profile)
    with open_history(profile) as history:
        execute(profile, plan, history, kind=RunKind.BASELINE, handle=lambda event: None)
        result = execute(profile, plan, history, kind=RunKind.RUN, handle=lambda event: None)
    shown = [f"{item.check_id} {item.verdict} {item.judgement.reason}" for item in result.outcomes]
    assert result.exit_code() is ExitCode.HOLDS, shown
    assert {"USR-01", "TOK-01", "KEEP-01"} <= {item.check_id for item in result.outcomes if item.verdict == "holds"}


def test_the_second_platform(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A platform with other names: the file loads, maps nothing that does not exist, and lists what exists."""
    output = tmp_path / "stack.toml"
    with stack.new_world(platform=False) as world:
        shape = asyncio.run(seed(world.config, accounts=12))
        one_database = shape.config.verifier.user_db
        code = write_draft(output, "acme", addresses_of(world.config, chat_db=one_database), force=False)
    assert code is ExitCode.HOLDS
    text = output.read_text()
    profile = loaded(text, world.config, chat_db=one_database)
    assert profile.relations == {}
    for named in ("people.accounts (account_no", "talk.threads (", "imtok/*", f"{world.config.mongo_database}.letters"):
        assert named in text
    assert text.count("people.accounts (") == 1
    assert "wrote" in capsys.readouterr().out


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    """Without --force the file stays as it is."""
    output = tmp_path / "stack.toml"
    output.write_text("mine")
    with pytest.raises(ProfileError, match="already exists"):
        write_draft(output, "acme", Addresses(), force=False)
    assert output.read_text() == "mine"
    assert write_draft(output, "acme", Addresses(), force=True) is ExitCode.HOLDS
    assert "[relations.users]" in output.read_text()


@pytest.mark.parametrize(
    "addresses",
    [
        Addresses(user_db="postgresql://u:s3cret@127.0.0.1:1/none"),
        Addresses(mongo="mongodb://u:s3cret@127.0.0.1:1/?serverSelectionTimeoutMS=200"),
        Addresses(redis="redis://u:s3cret@127.0.0.1:1/0"),
        Addresses(rabbitmq="http://u:s3cret@127.0.0.1:1"),
        Addresses(user_db="nonsense", mongo="nonsense", redis="nonsense", rabbitmq="nonsense"),
        Addresses(redis="redis://h:port", rabbitmq="http://[s3cret", mongo="mongodb://u:s3:cret@h"),
    ],
)
def test_a_store_that_cannot_be_inspected(
    addresses: Addresses, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one sentence for each store, no secret, and a file that loads."""
    output = tmp_path / "stack.toml"
    assert write_draft(output, "acme", addresses, force=False) is ExitCode.INCONCLUSIVE
    output_text = capsys.readouterr().out
    assert output_text.count("not inspected: ") == len(addresses.by_role())
    assert "s3cret" not in output_text + output.read_text()


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    """The message names the path and the cause."""
    with pytest.raises(ProfileError, match="No such file or directory"):
        write_draft(tmp_path / "absent" / "stack.toml", "acme", Addresses(), force=False)
