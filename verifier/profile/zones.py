"""Time zones by name, for times that are stored without one."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)\Z")


@lru_cache(maxsize=64)
def zone_of(name: str) -> tzinfo:
    """The zone with an IANA name (`Asia/Shanghai`), or a fixed offset (`+08:00`). Raises ValueError for any other text."""
    if name.upper() in ("UTC", "Z"):
        return UTC
    if (match := _OFFSET.match(name)) is not None:
        sign = -1 if match[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(match[2]), minutes=int(match[3])))
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(
            f"{name!r} is no time zone; give an IANA name such as Asia/Shanghai, or an offset such as +08:00"
        ) from None
