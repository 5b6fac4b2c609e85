"""What a run is made of: command line first, then the profile."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from load.abort import Limits
from load.arrival import Model, due_times, ramp_times, trace_times
from load.engine.frames import SdkType
from load.fitness import LATE_MOST_MS
from load.guard import refusal
from verifier.profile import Profile, ProfileError, load_profile

CANARY_PREFIX = "canaryload"
OUT_DIR = Path("reports/out")
GROUP_MOST = 10_000
SLOW_MOST_S = 10.0

Transport = Literal["ws", "rest"]
Scenario = Literal["pairs", "groups", "mixed"]
SCENARIOS: tuple[Scenario, ...] = ("pairs", "groups", "mixed")


class SettingsError(Exception):
    """The run cannot start; the text says what is missing and where to give it. Exit code 3."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run. `canaries` are the OpenIM ids that may send; empty means ids made of the canary prefix and a number.

    `transport` is how messages travel: `ws` over OpenIM's WebSocket at `ws_url`, `rest` through `/msg/send_msg`.
    With `gateway_url` the WebSocket is reached through the platform's gateway, by sessions of the users with `phones`.
    `window` is how many sends of one connection may be unanswered, `think_s` what a user of the closed model waits.
    `scenario` says whom a user writes to: the other of its pair, a group, or (`mixed`) a share `group_share` of the users to groups. A group has `group_size` members, of whom `group_connected` are
    users of the run (0: all of them) and the others never connect. `outage_…`: see `EnginePlan`. Every `receipts_every_s` (0: never)
    a user marks as read what it got. `rate_per_s` is each user's; `settle_s` how long an acknowledged message may take to become readable, and
    `read_deadline_s` how long the run then waits for the last ones.
    """

    api_url: str
    secret: str = field(repr=False)
    admin_user_id: str
    stack: str = "unnamed"
    canaries: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    rate_per_s: float = 1.0
    model: Model = "even"
    text_bytes: int = 64
    settle_s: float = 2.0
    read_deadline_s: float = 30.0
    out_dir: Path = OUT_DIR
    transport: Transport = "rest"
    ws_url: str = ""
    gateway_url: str = ""
    phones: tuple[str, ...] = ()
    sdk_type: SdkType = "js"
    gzipped: bool = False
    window: int = 16
    think_s: float = 0.0
    late_most_ms: float = LATE_MOST_MS
    ramp_from_per_s: float = 0.0
    ramp_s: float = 60.0
    trace: tuple[float, ...] = ()
    limits: Limits = field(default_factory=Limits)
    scenario: Scenario = "pairs"
    group_size: int = 100
    group_connected: int = 0
    group_share: float = 0.3
    outage_every_s: float = 0.0
    outage_share: float = 1.0
    outage_s: float = 0.0
    outage_slow: bool = False
    receipts_every_s: float = 0.0

    def due_s(self, rng: random.Random) -> Iterator[float] | None:
        """When one user's messages are due, in seconds from its start; None in the closed model."""
        match self.model:
            case "closed":
                return None
            case "ramp":
                return ramp_times(self.ramp_from_per_s, self.rate_per_s, self.ramp_s)
            case "trace":
                return iter(self.trace)
            case _:
                return due_times(self.model, self.rate_per_s, rng)

    def user_id(self, number: int) -> str | None:
        """The canary with this number (from 0; its phone number for the gateway), or None when there is no more."""
        if self.gateway_url:
            return self.phones[number] if number < len(self.phones) else None
        if not self.canaries:
            return f"{CANARY_PREFIX}{number:06d}"
        return self.canaries[number] if number < len(self.canaries) else None

    @property
    def user_count_max(self) -> int | None:
        """How many canaries there are; None: as many as wanted. An odd last one has no peer."""
        return len(self.canaries) // 2 * 2 if self.canaries else None


def settings_from(options: Mapping[str, Any]) -> Settings:
    """Settings from parsed options (names as in `locustfile.py`). Raises SettingsError."""
    profile = _profile(options.get("profile"))
    extra: Mapping[str, Any] = profile.canary.options if profile and profile.canary else {}
    allowed = _texts(extra, "load_hosts")
    transport: Transport = options.get("transport") or "rest"
    model: Model = options.get("arrivals") or "even"
    if model in ("closed", "trace") and transport == "rest":
        raise SettingsError(
            f"--arrivals {model} needs --transport ws: over REST, users send at their own, endless pace."
        )
    limits = _limits(options)
    if limits and transport == "rest":
        raise SettingsError("--abort-… needs --transport ws: over REST nobody watches.")
    if options.get("via") == "gateway":
        where = _through_gateway(profile, extra, allowed, transport)
    else:
        where = _straight(options, profile, extra, allowed, transport)
    canaries = _texts(extra, "load_users")
    if canaries and options.get("scenario") == "mixed":
        raise SettingsError("--scenario mixed makes its canaries itself: leave load_users out of the profile.")
    return Settings(
        **where,
        stack=profile.stack if profile else "unnamed",
        canaries=canaries,
        allowed_hosts=allowed,
        rate_per_s=_number(options, "rate", 1.0),
        model=model,
        text_bytes=int(_number(options, "text_bytes", 64)),
        settle_s=_number(options, "settle_s", 2.0),
        read_deadline_s=_number(options, "read_deadline_s", 30.0),
        out_dir=Path(options.get("out_dir") or OUT_DIR),
        transport=transport,
        sdk_type=options.get("sdk_type") or "js",
        gzipped=bool(options.get("gzip")),
        window=int(_number(options, "window", 16)),
        think_s=float(options.get("think_s") or 0),
        late_most_ms=_number(options, "late_most_ms", LATE_MOST_MS),
        ramp_from_per_s=float(options.get("ramp_from") or 0),
        ramp_s=_number(options, "ramp_s", 60.0),
        trace=_trace(options.get("trace")) if model == "trace" else (),
        limits=limits,
        **_scenario(options, transport),
    )


def _scenario(options: Mapping[str, Any], transport: Transport) -> dict[str, Any]:
    """Who writes to whom, and when connections end."""
    scenario = options.get("scenario") or "pairs"
    every_s = float(options.get("outage_every_s") or 0)
    if transport == "rest" and (scenario != "pairs" or every_s):
        raise SettingsError(f"--scenario {scenario} and --outage-every-s need --transport ws.")
    if scenario != "pairs" and options.get("via") == "gateway":
        raise SettingsError(f"--scenario {scenario} makes its groups in OpenIM itself: it needs --via token.")
    size, connected = int(_number(options, "group_size", 100)), int(options.get("group_connected") or 0)
    if scenario != "pairs" and not 3 <= size <= GROUP_MOST:
        raise SettingsError(
            f"--group-size {size}: OpenIM makes groups of 3 people and more; this harness up to {GROUP_MOST}."
        )
    if connected > size or connected == 1:
        raise SettingsError(f"--group-connected {connected} does not fit a group of {size}: at least 2, at most all.")
    if options.get("outage_slow") and not 0 < float(options.get("outage_s") or 0) < SLOW_MOST_S:
        raise SettingsError(
            f"--outage-slow needs --outage-s, below {SLOW_MOST_S:g}: who reads nothing for longer answers no ping, and is gone."
        )
    receipts_every_s = float(options.get("receipts_every_s") or 0)
    if receipts_every_s and (transport == "rest" or options.get("via") == "gateway"):
        raise SettingsError(
            "--receipts-every-s needs --transport ws --via token: only there it is known what a user got."
        )
    share = float(1 if options.get("outage_share") is None else options["outage_share"])
    if not 0 < share <= 1:
        raise SettingsError(f"--outage-share {share:g} is no share: give more than 0, at most 1.")
    return {
        "scenario": scenario,
        "group_size": size,
        "group_connected": connected,
        "group_share": float(options.get("group_share") or 0.3),
        "outage_every_s": every_s,
        "outage_share": share,
        "outage_s": float(options.get("outage_s") or 0),
        "outage_slow": bool(options.get("outage_slow")),
        "receipts_every_s": receipts_every_s,
    }


def _limits(options: Mapping[str, Any]) -> Limits:
    given = {one.name: options.get(f"abort_{one.name}") for one in fields(Limits)}
    return Limits(**{name: float(value) for name, value in given.items() if value is not None})


def _straight(
    options: Mapping[str, Any],
    profile: Profile | None,
    extra: Mapping[str, Any],
    allowed: tuple[str, ...],
    transport: Transport,
) -> dict[str, Any]:
    """Where OpenIM is, and how canaries get their tokens."""
    role = profile.roles.openim if profile else None
    secret = options.get("openim_secret") or (role.secret.get_secret_value() if role and role.secret else "")
    admin = options.get("openim_admin") or extra.get("load_admin")
    api_url = options.get("host") or (role.api_url if role else "")
    if not api_url:
        raise SettingsError("Whom to load? Give --host http://host:port of OpenIM's REST API, or --profile stack.toml.")
    if (reason := refusal(str(api_url), allowed)) is not None:
        raise SettingsError(reason)
    if not secret:
        raise SettingsError("OpenIM's secret is missing: set OPENIM_SECRET, or roles.openim.secret in the profile.")
    if not admin:
        raise SettingsError(
            "An OpenIM admin id for load is missing: set OPENIM_ADMIN, or load_admin under [canary.options] in the "
            "profile. Use one of its own: every new token cuts the life of that id's older tokens to 300 s."
        )
    ws_url = str(options.get("ws_url") or (role.ws_url if role else "") or "")
    if transport == "ws":
        _check_ws(ws_url, allowed)
    return {
        "api_url": str(api_url).rstrip("/"),
        "secret": str(secret),
        "admin_user_id": str(admin),
        "ws_url": ws_url,
    }


def _through_gateway(
    profile: Profile | None, extra: Mapping[str, Any], allowed: tuple[str, ...], transport: Transport
) -> dict[str, Any]:
    """Where the platform's gateway is, and who signs in there."""
    role = profile.roles.gateway if profile else None
    if role is None or transport != "ws":
        raise SettingsError("--via gateway needs --transport ws and a profile with [roles.gateway] url.")
    phones = _texts(extra, "load_phones")
    if len(phones) < 2:
        raise SettingsError(
            "Who signs in? Give the phone numbers of canaries, two for each conversation, as load_phones under "
            "[canary.options] in the profile."
        )
    if (reason := refusal(role.url, allowed)) is not None:
        raise SettingsError(reason)
    url = role.url.rstrip("/")
    return {"api_url": url, "secret": "", "admin_user_id": "", "gateway_url": url, "phones": phones}


def _check_ws(url: str, allowed: tuple[str, ...]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss"):
        raise SettingsError(
            "Where is OpenIM's WebSocket? Give --ws-url ws://host:port of its gateway, or roles.openim.ws_url in the "
            "profile."
        )
    if (reason := refusal("http" + url.removeprefix("ws"), allowed)) is not None:
        raise SettingsError(reason)


def _trace(path: Any) -> tuple[float, ...]:
    if not path:
        raise SettingsError("--arrivals trace needs --trace FILE: seconds after the start, one a line.")
    try:
        return tuple(trace_times(Path(str(path))))
    except OSError as error:
        raise SettingsError(f"The trace {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SettingsError(f"The trace is not usable: {error}.") from error


def _profile(path: Any) -> Profile | None:
    if not path:
        return None
    try:
        return load_profile(Path(str(path)))
    except ProfileError as error:
        raise SettingsError(str(error)) from error


def _texts(extra: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = extra.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SettingsError(f"canary.options.{name} must be a list of texts.")
    return tuple(value)


def _number(options: Mapping[str, Any], name: str, default: float) -> float:
    value = options.get(name)
    number = default if value is None else float(value)
    if number <= 0:
        raise SettingsError(f"--{name.replace('_', '-')} must be above 0, not {number:g}.")
    return number
