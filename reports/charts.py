"""Small charts as inline SVG: lines over time, dots over a quantity, a heat map. Colours come from the report's style sheet.

Lines also differ in their dashes, and each has its name at its end, so that they can be distinguished without colours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 920, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 130, 14, 30
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4")
_TICKS_X, _TICKS_Y = 8, 4
_ROUND_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_LEAST = 1e-6
"""Smaller values are drawn as zero."""
NAME = 14
ROW = 18
LABEL = 190

Series = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, kw_only=True)
class _Scale:
    low: float
    high: float
    log: bool

    def y(self, value: float) -> float:
        """The vertical position of a value, in the chart's units."""
        share = (self._at(value) - self._at(self.low)) / ((self._at(self.high) - self._at(self.low)) or 1)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def _at(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.log else value

    @property
    def ticks(self) -> list[float]:
        """Round values between the ends of the scale."""
        if self.log:
            return [10.0**power for power in range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)]
        return [self.high * part / _TICKS_Y for part in range(_TICKS_Y + 1)]


def lines(series: Series, *, step_s: float, unit: str, title: str, log: bool = False) -> Markup:
    """One line for each series, over the same steps of `step_s` seconds; None is a gap. `title` is the text for screen readers."""
    values = [value for line in series.values() for value in line if value is not None]
    steps = max((len(line) for line in series.values()), default=0)
    scale = _scale(values, log=log)
    x = _across(steps)
    parts = [_frame(scale, steps, step_s, unit)]
    ends: list[tuple[float, str, str]] = []
    for number, (name, line) in enumerate(series.items()):
        points = [(x(step), scale.y(value)) for step, value in enumerate(line) if value is not None]
        if not points:
            continue
        dash = _DASHES[number % len(_DASHES)]
        parts.append(
            Markup('<path class="line l{}" d="{}"{}/>').format(
                number % len(_DASHES),
                _path(line, x, scale),
                Markup(' stroke-dasharray="{}"').format(dash) if dash else "",
            )
        )
        ends.append((points[-1][1], name, f"l{number % len(_DASHES)}"))
    parts += _names(ends)
    return _svg(title, HEIGHT, parts)


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One measurement: its position, its kind (one of those given to `dots`), and its tooltip."""

    x: float
    y: float
    kind: str
    tooltip: str


def dots(found: Sequence[Dot], *, kinds: Sequence[str], unit_x: str, unit_y: str, title: str) -> Markup:
    """Measurements over a quantity, y logarithmic. The first of `kinds` is a disc, the second a cross, the third a ring."""
    scale = _scale([dot.y for dot in found], log=True)
    most = _round_up(max((dot.x for dot in found), default=1.0))
    width = WIDTH - LEFT - RIGHT
    parts = [_grid(scale, unit_y)]
    for part in range(_TICKS_Y + 1):
        at = LEFT + width * part / _TICKS_Y
        parts.append(_label(at, HEIGHT - 8, _number(most * part / _TICKS_Y), "middle"))
    parts.append(_label(WIDTH - RIGHT + 30, HEIGHT - 8, unit_x, "start"))
    parts += [_mark(kinds.index(dot.kind), LEFT + width * dot.x / most, scale.y(dot.y), dot.tooltip) for dot in found]
    for number, name in enumerate(kinds):
        y = TOP + 4 + number * (NAME + 4)
        parts.append(_mark(number, WIDTH - RIGHT + 14, y, name))
        parts.append(_label(WIDTH - RIGHT + 26, y + 4, name, "start"))
    return _svg(title, HEIGHT, parts)


def _mark(shape: int, x: float, y: float, tooltip: str) -> Markup:
    if shape == 1:
        drawn = Markup('<path class="mark m1" d="M{:.1f} {:.1f}l10 10m0 -10l-10 10"').format(x - 5, y - 5)
        return drawn + Markup("><title>{}</title></path>").format(tooltip)
    return Markup('<circle class="mark m{}" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}</title></circle>').format(
        shape, x, y, tooltip
    )


def _label(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text class="label" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


def heat(rows: Sequence[tuple[str, Mapping[int, int]]], *, steps: int, step_s: float, title: str) -> Markup:
    """One row for each name. The darker a step, the higher its count, which is also its tooltip."""
    most = max((count for _, counts in rows for count in counts.values()), default=1)
    height = len(rows) * ROW + BOTTOM
    width = (WIDTH - LABEL - 10) / max(steps, 1)
    parts = []
    for number, (name, counts) in enumerate(rows):
        top = number * ROW
        shown = name if len(name) <= 26 else f"{name[:12]}…{name[-12:]}"
        parts.append(
            Markup('<text class="label" x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>').format(
                LABEL - 8, top + ROW - 5, shown, name
            )
        )
        parts.append(
            Markup('<rect class="bed" x="{}" y="{}" width="{}" height="{}"/>').format(
                LABEL, top + 1, WIDTH - LABEL - 10, ROW - 2
            )
        )
        for step, count in counts.items():
            shade = 0.25 + 0.75 * count / most
            parts.append(
                Markup(
                    '<rect class="cell" x="{:.2f}" y="{}" width="{:.2f}" height="{}" opacity="{:.2f}"><title>{}</title></rect>'
                ).format(
                    LABEL + step * width, top + 1, max(width, 2.0), ROW - 2, shade, f"{count} at {_time(step * step_s)}"
                )
            )
    for seconds in _round_times(steps * step_s):
        at = LABEL + (WIDTH - LABEL - 10) * seconds / (steps * step_s)
        parts.append(_label(at, height - 10, _time(seconds), "middle"))
    return _svg(title, height, parts)


def _scale(values: Sequence[float], *, log: bool) -> _Scale:
    positive = [value for value in values if value > _LEAST]
    high = max(positive, default=1.0)
    if not log:
        return _Scale(low=0.0, high=_round_up(high), log=False)
    low = min(positive, default=high)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return _Scale(low=10.0**first, high=10.0 ** max(last, first + 1), log=True)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 8 times a power of ten: quarters of these are round as well."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 5, 8, 10) if factor * power >= value * (1 - 1e-9))


def _round_times(span_s: float) -> list[float]:
    """Times for the axis from 0 on, in a unit that people count in, at most _TICKS_X steps."""
    step_s = next((step for step in _ROUND_S if span_s <= step * _TICKS_X), _ROUND_S[-1])
    return [number * step_s for number in range(int(span_s // step_s) + 1)]


def _across(steps: int) -> Callable[[int], float]:
    width = WIDTH - LEFT - RIGHT
    return lambda step: LEFT + (width * step / (steps - 1) if steps > 1 else width / 2)


def _path(line: Sequence[float | None], x: Callable[[int], float], scale: _Scale) -> str:
    pieces, pen = [], "M"
    for step, value in enumerate(line):
        if value is None:
            pen = "M"
            continue
        pieces.append(f"{pen}{x(step):.1f} {scale.y(value):.1f}")
        if pen == "M":
            pieces.append("h.1")  # a single step between two gaps is a dot
        pen = "L"
    return " ".join(pieces)


def _frame(scale: _Scale, steps: int, step_s: float, unit: str) -> Markup:
    found = [_grid(scale, unit)]
    span_s = max(steps - 1, 0) * step_s
    for seconds in _round_times(span_s):
        at = LEFT + (WIDTH - LEFT - RIGHT) * (seconds / span_s if span_s else 0.5)
        found.append(_label(at, HEIGHT - 8, _time(seconds), "middle"))
    return Markup("").join(found)


def _grid(scale: _Scale, unit: str) -> Markup:
    """Lines at round values, the values, and their unit."""
    found = []
    for value in scale.ticks:
        y = scale.y(value)
        found.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, y, WIDTH - RIGHT))
        found.append(_label(LEFT - 8, y + 4, _number(value), "end"))
    return Markup("").join([*found, _label(4, 10, unit, "start")])


def _names(ends: Sequence[tuple[float, str, str]]) -> list[Markup]:
    """The name of each line at its end, moved apart if they would overlap."""
    places: list[float] = []
    for y, _, _ in sorted(ends):
        places.append(max(y, places[-1] + NAME if places else TOP))
    over = max(0.0, places[-1] - (HEIGHT - BOTTOM)) if places else 0.0
    return [
        Markup('<text class="name {}" x="{}" y="{:.1f}">{}</text>').format(kind, WIDTH - RIGHT + 8, y - over + 4, name)
        for y, (_, name, kind) in zip(places, sorted(ends), strict=True)
    ]


def _svg(title: str, height: int, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, escape(title), Markup("").join(parts)
    )


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f") if value >= 10 or value == int(value) else f"{value:g}"


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{seconds:.0f} s"
    return (
        f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
        if whole >= 3600
        else f"{whole // 60}:{whole % 60:02}"
    )
