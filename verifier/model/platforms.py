"""OpenIM's platforms: the numbers that tokens and connections carry (docs/openim-ws.md)."""

from __future__ import annotations

from collections.abc import Mapping

ADMIN = 10
PLATFORMS: Mapping[int, str] = {
    1: "iOS",
    2: "Android",
    3: "Windows",
    4: "OSX",
    5: "Web",
    6: "MiniWeb",
    7: "Linux",
    8: "AndroidPad",
    9: "iPad",
    11: "HarmonyOS",
}
"""The platforms of users by number, with OpenIM's names. Number 10 is the administrator's."""

_NUMBERS = {name.lower(): number for number, name in PLATFORMS.items()} | {"macos": 4}


def platform_number(value: object, words: Mapping[str, int] | None = None) -> int | None:
    """The number of a platform that is given as number, as number in text, as OpenIM's name or by one of `words`.

    None for what names no platform. `words` comes first; upper and lower case do not matter.
    """
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip().lower()
    for word, number in (words or {}).items():
        if word.strip().lower() == text:
            return number
    if text in _NUMBERS:
        return _NUMBERS[text]
    return int(text) if text.isascii() and text.isdigit() else None
