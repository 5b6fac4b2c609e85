"""The options of a load run, in one model.

Each field is an option of the locustfile and a key of a plan file; some are fields of the web form. Its default, description,
unit, bounds and choices are stated here alone; flag and key are made from the field's name.
"""

from __future__ import annotations

import argparse
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

Transport = Literal["ws", "rest"]
ArrivalModel = Literal["even", "poisson", "ramp", "trace", "closed"]
Scenario = Literal["pairs", "groups", "mixed"]
SdkType = Literal["js", "go"]

OUT_DIR: Final = Path("reports/out")
GROUP_MAX: Final = 10_000
BATCH_MAX: Final = 1_000
_BOUNDS: Final = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}


class SettingsError(Exception):
    """The run cannot start; the text says what is wrong and how to correct it. Exit code 3."""


class Section(BaseModel):
    """A section of the options, and a table of a plan file. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _former_names(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        formers = {
            extra["former"]: name
            for name, field in cls.model_fields.items()
            if isinstance(extra := field.json_schema_extra, dict) and isinstance(extra.get("former"), str)
        }
        return {formers.get(name, name): item for name, item in value.items()}


def option(
    default: Any, description: str, *, unit: str = "", in_form: bool = False, because: str = "", **more: Any
) -> Any:
    """A field that is an option.

    Args:
        default: its default; `...` for one that a plan file must give.
        description: one phrase for `--help`, the web form and the plan file's documentation.
        unit: of a number.
        in_form: whether the web form shows it.
        because: why the bounds are what they are; added to the error message.
        more: bounds (`gt`, `ge`, `lt`, `le`); `flag` where it is not made from the name; `env`, an environment variable;
            `negated` for a flag that switches the field off; `locusts` for an option that locust itself declares; `former`, its
            name in earlier versions, which flags and plan files may still use.
    """
    shown: dict[str, Any] = {
        name: more.pop(name) for name in ("flag", "env", "negated", "locusts", "former") if name in more
    }
    extra: dict[str, Any] = {"unit": unit, "in_form": in_form, "because": because, **shown}
    return Field(default, description=description, json_schema_extra=extra, **more)


class TargetOptions(Section):
    """The server under load, and how users connect to it."""

    profile: str | None = option(None, "path of a profile with [roles.openim] or [roles.gateway]", locusts=True)
    host: str | None = option(None, "URL of OpenIM's REST API, if no profile names it", locusts=True)
    ws_url: str = option("", "URL of OpenIM's WebSocket gateway, for --transport ws")
    transport: Transport = option("rest", "transport of the messages: OpenIM's WebSocket or its REST API")
    via: Literal["token", "gateway"] = option(
        "token", "sign-in over --transport ws: with OpenIM tokens, or with sessions of the platform's gateway"
    )


class Traffic(Section):
    """What the users send, and when."""

    rate: float = option(1.0, "Messages per second and user", gt=0, in_form=True)
    arrivals: ArrivalModel = option("even", "When messages are due; closed: after the previous answer", in_form=True)
    ramp_from: float = option(0.0, "First rate of --arrivals ramp, which ends at --rate", ge=0, in_form=True)
    ramp_s: float = option(60.0, "Duration of the ramp", unit="s", gt=0, in_form=True)
    trace: str = option("", "file for --arrivals trace: one due time per line, in seconds after the start")
    think_s: float = option(0.0, "Pause after an answer, with --arrivals closed", unit="s", ge=0, in_form=True)
    text_bytes: int = option(64, "Size of a message's text", unit="bytes", gt=0, in_form=True)
    window: int = option(16, "Unanswered sends of one connection at most; further messages wait", gt=0, in_form=True)
    sdk_type: SdkType = option("js", "encoding of the envelopes: JSON (js) or gob (go)")
    gzip: bool = option(False, "compress every frame")
    settle_s: float = option(
        2.0, "Time in which an acknowledged message becomes readable", unit="s", gt=0, in_form=True
    )
    quiet_s: float = option(
        30.0,
        "At the end, time without a newly readable message after which a missing one is lost, not late",
        unit="s",
        gt=0,
        in_form=True,
    )
    drain_deadline_s: float = option(
        600.0,
        "Longest wait at the end while messages become readable; what is missing then is unknown",
        unit="s",
        gt=0,
        in_form=True,
        former="read_deadline_s",
    )
    late_most_ms: float = option(
        50.0, "Lateness of sends (p99) above which the run is inconclusive", unit="ms", gt=0, in_form=True
    )
    scenario: Scenario = option("pairs", "who writes to whom: pairs, groups, or a mix of both")
    group_size: int = option(
        100,
        "Members of each group, with --scenario groups or mixed",
        ge=3,
        le=GROUP_MAX,
        because="OpenIM makes groups of 3 people and more",
        in_form=True,
    )
    group_connected: int = option(
        0, "Members of each group that connect and write (0: all); the others never connect", ge=0, in_form=True
    )
    group_share: float = option(0.3, "Share of the users in groups, with --scenario mixed", gt=0, lt=1, in_form=True)
    outage_every_s: float = option(0.0, "Time between forced disconnects (0: off)", unit="s", ge=0, in_form=True)
    outage_share: float = option(1.0, "Share of the users that a forced disconnect hits", gt=0, le=1, in_form=True)
    outage_s: float = option(
        0.0,
        "Time until the users reconnect and read what they missed; 0: cut without a close frame, they reconnect at once",
        unit="s",
        ge=0,
        in_form=True,
    )
    outage_slow: bool = option(False, "instead of disconnecting, stop reading the socket for --outage-s")
    receipts_every_s: float = option(
        0.0, "Time between two read receipts of a user (0: none)", unit="s", ge=0, in_form=True
    )
    batch: int = option(
        0,
        "Receivers of each message, with --transport rest (0: one, through send_msg)",
        ge=0,
        le=BATCH_MAX,
        because=f"give 1 to {BATCH_MAX} receivers, or 0 for messages to one",
        in_form=True,
    )


class AbortLimits(Section):
    """When a run ends early: a limit that is exceeded for `after_s` without interruption. True if one is set."""

    after_s: float = option(10.0, "End the run when a limit is exceeded for this long", unit="s", gt=0, in_form=True)
    error_share_most: float | None = option(
        None, "Limit: share of refused or unanswered sends", ge=0, le=1, in_form=True
    )
    send_p99_ms: float | None = option(
        None, "Limit: 99th percentile of the answer times of each second", unit="ms", gt=0, in_form=True
    )
    backlog_most: float | None = option(None, "Limit: messages that are due and wait", ge=0, in_form=True)
    push_lag_ms: float | None = option(
        None, "Limit: 99th percentile of the times from due to pushed, of each second", unit="ms", gt=0, in_form=True
    )
    unstored_most: float | None = option(
        None, "Limit: messages that are acknowledged and not yet readable, of one process", ge=0, in_form=True
    )

    def __bool__(self) -> bool:
        return any(value is not None for name, value in self if name != "after_s")


class After(Section):
    """What follows the load."""

    verify: bool = option(
        True, "with --profile: do not run the verifier after the load", flag="--no-verify", negated=True
    )


class Credentials(Section):
    """Who may load. They come from the environment or the profile, never from a plan file."""

    openim_admin: str = option("", "OpenIM admin id, used by load tests alone", env="OPENIM_ADMIN")
    openim_secret: str = option("", "OpenIM's share.secret", env="OPENIM_SECRET", repr=False)


class RunOptions(Section):
    """All options of a run."""

    target: TargetOptions = TargetOptions()
    load: Traffic = Traffic()
    abort: AbortLimits = AbortLimits()
    after: After = After()
    credentials: Credentials = Credentials()
    out_dir: Path = option(OUT_DIR, "directory for journals and reports")

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """Options from the command line or the web form, by the names of `Option.dest`; others are ignored.

        None and an empty text mean "not given". Raises SettingsError, naming the flag.
        """
        tree: dict[str, Any] = {}
        for one in options_of(cls):
            value = given.get(one.dest)
            if value is None or value == "":
                continue
            place = tree.setdefault(one.section, {}) if one.section else tree
            place[one.name] = not value if one.negated else value
        try:
            options = cls.model_validate(tree)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            wrong = next(one for one in options_of(cls) if (one.section, one.name) == _place(first["loc"]))
            reason = wrong.requirement or f"{first['msg'][0].lower()}{first['msg'][1:]}"
            raise SettingsError(f"{wrong.flag} {first['input']}: {reason}.") from None
        return options


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: where it is in the model (`section` is empty at the top), and its face on the command line."""

    section: str
    name: str
    field: FieldInfo

    @property
    def _extra(self) -> Mapping[str, Any]:
        extra = self.field.json_schema_extra
        return extra if isinstance(extra, dict) else {}

    @property
    def flag(self) -> str:
        """The option's flag, e.g. `--outage-share`; those of [abort] begin with `--abort-`."""
        prefix = "abort-" if self.section == "abort" else ""
        return str(self._extra.get("flag") or f"--{prefix}{self.name.replace('_', '-')}")

    @property
    def dest(self) -> str:
        """The attribute of the parsed options that holds its value."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def negated(self) -> bool:
        """Whether the flag switches the field off."""
        return bool(self._extra.get("negated"))

    @property
    def unit(self) -> str:
        """The unit of a number; empty without one."""
        return str(self._extra.get("unit") or "")

    @property
    def of_locust(self) -> bool:
        """Whether locust itself declares it."""
        return bool(self._extra.get("locusts"))

    @property
    def kind(self) -> Any:
        """The field's type without None."""
        found = self.field.annotation
        if typing.get_origin(found) in (typing.Union, types.UnionType):
            (found,) = (one for one in typing.get_args(found) if one is not type(None))
        return found

    @property
    def bounds(self) -> str:
        """The bounds in words, e.g. `greater than 0 and at most 1`; empty without any."""
        return " and ".join(
            f"{words} {bound:g}"
            for constraint in self.field.metadata
            for name, words in _BOUNDS.items()
            if (bound := getattr(constraint, name, None)) is not None
        )

    @property
    def requirement(self) -> str:
        """What a value must satisfy, for an error message; empty without bounds."""
        because = self._extra.get("because")
        return f"must be {self.bounds}{f' ({because})' if because else ''}" if self.bounds else ""

    @property
    def help(self) -> str:
        """The description with unit, bounds and default."""
        default = self.field.default
        facts = [self.unit, self.bounds]
        if not self.field.is_required() and self.kind is not bool and default not in (None, ""):
            facts.append(f"default {default:g}" if isinstance(default, float) else f"default {default}")
        shown = ", ".join(fact for fact in facts if fact)
        return f"{self.field.description}{f' [{shown}]' if shown else ''}".replace("%", "%%")

    def arguments(self, value: Any) -> list[str]:
        """What a command line says to give it this value."""
        if self.kind is bool:
            return [self.flag] if value != self.negated else []
        # 0 processes, and no profile or host, mean that locust's option is not given.
        return [] if value in (None, "") or (self.of_locust and not value) else [self.flag, str(value)]

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Declare it to locust's parser."""
        more: dict[str, Any] = {"help": self.help, "include_in_web_ui": bool(self._extra.get("in_form"))}
        if env := self._extra.get("env"):
            more["env_var"] = env
        if self.kind is bool:
            more["action"] = "store_true"
        elif typing.get_origin(self.kind) is Literal:
            more |= {"choices": typing.get_args(self.kind), "default": self.field.default}
        else:
            text = self.kind is Path
            more |= {"type": str if text else self.kind, "default": str(OUT_DIR) if text else self.field.default}
        former = self._extra.get("former")
        flags = [self.flag, *([f"--{str(former).replace('_', '-')}"] if former else [])]
        parser.add_argument(*flags, **more)


def options_of(model: type[BaseModel], section: str = "") -> Iterator[Option]:
    """The options of a model, those of its sections included."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from options_of(field.annotation, name)
        else:
            yield Option(section=section, name=name, field=field)


def add_options(parser: argparse.ArgumentParser, **_: Any) -> None:
    """Declare the options of the locustfile, for the command line and the web form."""
    for one in options_of(RunOptions):
        if not one.of_locust:
            one.add_to(parser)


def _place(location: tuple[int | str, ...]) -> tuple[str, str]:
    section, name = ("", *map(str, location))[-2:]
    return section, name
