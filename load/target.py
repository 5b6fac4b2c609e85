"""From options to a run's configuration: the profile is read, and a run that cannot or must not start is refused.

Loopback may always be loaded. Any other host must be named in the profile, as it might be a production system.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from load.config import RunOptions, SettingsError, Traffic
from load.engine.arrival import due_times, ramp_times, trace_times
from verifier.profile import Profile, ProfileError, load_profile

CANARY_PREFIX: Final = "canaryload"
IDLE_PREFIX: Final = "canaryidle"
UNNAMED: Final = "unnamed"
OUTAGE_SLOW_MAX_S: Final = 10.0
"""A client that does not answer a ping within this time is given up."""

_FILL: Final = "canary "


@dataclass(frozen=True, kw_only=True)
class LoadConfig:
    """One run, ready to start: its options, and what follows from them and the profile.

    Attributes:
        api_url: OpenIM's REST API, or the platform's gateway.
        gateway_url: the platform's gateway, where users sign in with `phones`; empty with --via token.
        canaries: the OpenIM ids that may send; if empty, ids are made of a prefix and a number.
        trace_s: the due times of --arrivals trace.
    """

    options: RunOptions = field(default_factory=RunOptions)
    api_url: str
    secret: str = field(repr=False)
    admin_user_id: str
    stack: str = UNNAMED
    canaries: tuple[str, ...] = ()
    ws_url: str = ""
    gateway_url: str = ""
    phones: tuple[str, ...] = ()
    trace_s: tuple[float, ...] = ()

    @property
    def traffic(self) -> Traffic:
        """What the users send, and when."""
        return self.options.load

    @property
    def text(self) -> str:
        """The text of every message."""
        size = self.traffic.text_bytes
        return (_FILL * (size // len(_FILL) + 1))[:size]

    def due_s(self, rng: random.Random) -> Iterator[float] | None:
        """When one user's messages are due, in seconds after its start; None in the closed model."""
        traffic = self.traffic
        match traffic.arrivals:
            case "closed":
                return None
            case "ramp":
                return ramp_times(traffic.ramp_from, traffic.rate, traffic.ramp_s)
            case "trace":
                return iter(self.trace_s)
            case _:
                return due_times(traffic.arrivals, traffic.rate, rng)

    def user_id(self, number: int) -> str | None:
        """The canary with this number, from 0 (its phone number for the gateway), or None beyond the last."""
        named = self.phones if self.gateway_url else self.canaries
        if not named:
            return f"{CANARY_PREFIX}{number:06d}"
        return named[number] if number < len(named) else None

    @property
    def receivers(self) -> tuple[str, ...]:
        """The receivers of each message of a batch: the last of the named canaries, or ids that never write."""
        if self.canaries:
            return self.canaries[len(self.canaries) - self.traffic.batch :]
        return tuple(f"{IDLE_PREFIX}{number:05d}" for number in range(self.traffic.batch))


def config_from(given: Mapping[str, Any]) -> LoadConfig:
    """The configuration of a run, from parsed options. The command line has precedence over the profile.

    Raises SettingsError where the run cannot or must not start.
    """
    options = RunOptions.parse(given)
    profile = _profile(options.target.profile)
    extra: Mapping[str, Any] = profile.canary.options if profile and profile.canary else {}
    allowed = _texts(extra, "load_hosts")
    _refuse_conflicts(options)
    if options.target.via == "gateway":
        found = _through_gateway(options, profile, extra, allowed)
    else:
        found = _straight(options, profile, extra, allowed)
    canaries = _texts(extra, "load_users")
    _refuse_canaries(options.load, canaries)
    return LoadConfig(
        **found,
        options=options,
        stack=profile.stack if profile else UNNAMED,
        canaries=canaries,
        trace_s=_trace(options.load.trace) if options.load.arrivals == "trace" else (),
    )


def refusal(url: str, allowed: Collection[str]) -> str | None:
    """Why this URL must not be loaded, or None if it may. `allowed` holds `host` or `host:port`, compared exactly."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return f"{url!r} is not a URL. Give --host http://host:port of OpenIM's REST API."
    if parts.scheme not in ("http", "https") or not host:
        return f"{url!r} is not an HTTP URL. Give --host http://host:port of OpenIM's REST API."
    permitted = {item.lower() for item in allowed}
    if is_loopback(host) or host in permitted or (port is not None and f"{host}:{port}" in permitted):
        return None
    return (
        f"{host} is not on this machine, and the profile does not allow load on it. If it is a test system, "
        f'add it to the profile: [canary.options] load_hosts = ["{host}"]'
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its address. Of names only `localhost` is: others may resolve to any address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_conflicts(options: RunOptions) -> None:
    """Refuse options that contradict each other, whatever the profile says."""
    load, target = options.load, options.target
    rest, gateway = target.transport == "rest", target.via == "gateway"
    connected = load.group_connected
    conflicts = {
        f"--arrivals {load.arrivals} needs --transport ws: REST users send at times fixed in advance, without end.": rest
        and load.arrivals in ("closed", "trace"),
        "--abort-… needs --transport ws: limits are not monitored over REST.": rest and bool(options.abort),
        f"--scenario {load.scenario} and --outage-every-s need --transport ws.": rest
        and (load.scenario != "pairs" or load.outage_every_s > 0),
        f"--scenario {load.scenario} makes its groups in OpenIM itself: it needs --via token.": gateway
        and load.scenario != "pairs",
        f"--group-connected {connected} does not fit a group of {load.group_size}: at least 2, at most all.": connected
        > load.group_size
        or connected == 1,
        f"--outage-slow needs --outage-s, below {OUTAGE_SLOW_MAX_S:g}: a client that reads nothing for longer answers no "
        "ping and is disconnected.": load.outage_slow and not 0 < load.outage_s < OUTAGE_SLOW_MAX_S,
        "--receipts-every-s needs --transport ws --via token: only there is it known what a user got.": (
            rest or gateway
        )
        and load.receipts_every_s > 0,
        "--batch needs --transport rest: over the WebSocket a message has one receiver, or a group.": load.batch > 0
        and not rest,
    }
    for sentence, conflict in conflicts.items():
        if conflict:
            raise SettingsError(sentence)


def _refuse_canaries(load: Traffic, canaries: Collection[str]) -> None:
    if canaries and load.scenario == "mixed":
        raise SettingsError("--scenario mixed makes its canaries itself: leave load_users out of the profile.")
    if canaries and load.batch >= len(canaries):
        raise SettingsError(f"--batch {load.batch} leaves no sender: load_users names {len(canaries)} canaries.")


def _straight(
    options: RunOptions, profile: Profile | None, extra: Mapping[str, Any], allowed: tuple[str, ...]
) -> dict[str, str]:
    """Where OpenIM is, and who gets the canaries' tokens."""
    role, given = profile.roles.openim if profile else None, options.credentials
    secret = given.openim_secret or (role.secret.get_secret_value() if role and role.secret else "")
    admin = given.openim_admin or extra.get("load_admin")
    api_url = options.target.host or (role.api_url if role else "")
    if not api_url:
        raise SettingsError(
            "No target is given: add --host http://host:port of OpenIM's REST API, or --profile stack.toml."
        )
    if (reason := refusal(str(api_url), allowed)) is not None:
        raise SettingsError(reason)
    if not secret:
        raise SettingsError("OpenIM's secret is missing: set OPENIM_SECRET, or roles.openim.secret in the profile.")
    if not admin:
        raise SettingsError(
            "An OpenIM admin id for load is missing: set OPENIM_ADMIN, or load_admin under [canary.options] in the "
            "profile. Use an id that nothing else uses: every new token limits the older tokens of its id to 300 s."
        )
    ws_url = options.target.ws_url or str((role.ws_url if role else "") or "")
    if options.target.transport == "ws":
        _check_ws(ws_url, allowed)
    return {
        "api_url": str(api_url).rstrip("/"),
        "secret": secret,
        "admin_user_id": str(admin),
        "ws_url": ws_url,
    }


def _through_gateway(
    options: RunOptions, profile: Profile | None, extra: Mapping[str, Any], allowed: tuple[str, ...]
) -> dict[str, Any]:
    """Where the platform's gateway is, and who signs in there."""
    role = profile.roles.gateway if profile else None
    if role is None or options.target.transport != "ws":
        raise SettingsError("--via gateway needs --transport ws and a profile with [roles.gateway] url.")
    phones = _texts(extra, "load_phones")
    if len(phones) < 2:
        raise SettingsError(
            "No canaries can sign in: give their phone numbers, two for each conversation, as load_phones under "
            "[canary.options] in the profile."
        )
    if (reason := refusal(role.url, allowed)) is not None:
        raise SettingsError(reason)
    url = role.url.rstrip("/")
    return {"api_url": url, "secret": "", "admin_user_id": "", "gateway_url": url, "phones": phones}


def _check_ws(url: str, allowed: tuple[str, ...]) -> None:
    if urlsplit(url).scheme not in ("ws", "wss"):
        raise SettingsError(
            "OpenIM's WebSocket is missing: give --ws-url ws://host:port of its gateway, or roles.openim.ws_url in the "
            "profile."
        )
    if (reason := refusal("http" + url.removeprefix("ws"), allowed)) is not None:
        raise SettingsError(reason)


def _trace(path: str) -> tuple[float, ...]:
    if not path:
        raise SettingsError("--arrivals trace needs --trace FILE: one due time per line, in seconds after the start.")
    try:
        return tuple(trace_times(Path(path)))
    except OSError as error:
        raise SettingsError(f"The trace {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SettingsError(f"The trace cannot be used: {error}.") from error


def _profile(path: str | None) -> Profile | None:
    if not path:
        return None
    try:
        return load_profile(Path(path))
    except ProfileError as error:
        raise SettingsError(str(error)) from error


def _texts(extra: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = extra.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SettingsError(f"canary.options.{name} must be a list of texts.")
    return tuple(value)
