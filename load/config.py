"""Options into settings: the command line first, then the profile; what does not fit is refused before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from load.guard import refusal
from load.monitoring.abort import Limits
from load.monitoring.generator_health import LATE_MOST_MS
from load.settings import BATCH_MOST, GROUP_MOST, OUT_DIR, SLOW_MOST_S, UNNAMED, Settings, SettingsError, Transport
from load.users.arrival import Model, trace_times
from verifier.profile import Profile, ProfileError, load_profile


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
        stack=profile.stack if profile else UNNAMED,
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
        batch=_batch(options, transport, canaries),
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


def _batch(options: Mapping[str, Any], transport: Transport, canaries: tuple[str, ...]) -> int:
    batch = int(options.get("batch") or 0)
    if batch and transport != "rest":
        raise SettingsError(
            "--batch needs --transport rest: over the WebSocket a message has one receiver, or a group."
        )
    if not 0 <= batch <= BATCH_MOST:
        raise SettingsError(f"--batch {batch}: give 1 to {BATCH_MOST} receivers, or 0 for messages to one.")
    if canaries and batch >= len(canaries):
        raise SettingsError(f"--batch {batch} leaves nobody to send: load_users names {len(canaries)} canaries.")
    return batch


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
