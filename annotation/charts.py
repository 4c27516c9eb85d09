"""Curves as SVG, drawn on the server: geometry here, markup in templates/components/chart.html, colours in the CSS.

A value that is not a number leaves a gap. A long curve is thinned, with its peaks and dips kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.formats import date_format, get_format
from django.utils.text import slugify
from django.utils.translation import gettext as _

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 38
MAX_POINTS = 300
MAX_TABLE_ROWS = 50

Row = Mapping[str, Any]
Point = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """One series: `segments` are the points attribute of polylines, `dots` points with a gap on either side."""

    label: str
    number: int
    segments: list[str]
    dots: list[Point]
    last: str


@dataclass(frozen=True)
class Chart:
    """`table` holds a step and one text a line in each row; `slug` tells the charts of a run apart."""

    slug: str
    title: str
    explanation: str
    x_title: str
    y_title: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    table: list[tuple[str, list[str]]]
    description: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM

    @property
    def y_title_at(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def x_title_at(self) -> float:
        return (self.left + self.right) / 2


def draw(
    rows: Iterable[Row],
    labels: Mapping[str, str],
    *,
    title: str,
    explanation: str = "",
    y_title: str = "",
    x_title: str = "",
    days: bool = False,
) -> Chart | None:
    """The chart of the metrics named by the keys of `labels` over the rows' steps; None where no row has any of them.

    A step that comes twice (a run that went on from a checkpoint) counts as it came last. `days`: the steps are
    ordinals of dates.
    """
    by_step = {row["step"]: row for row in rows if isinstance(row.get("step"), int)}
    steps = sorted(by_step)
    series = {
        key: [(float(step), number(by_step[step][key])) for step in steps if key in by_step[step]] for key in labels
    }
    series = {key: points for key, points in series.items() if any(value is not None for _step, value in points)}
    if not series:
        return None
    values = [value for points in series.values() for _step, value in points if value is not None]
    y_ticks = ticks(min(values), max(values))
    x_low, x_high = steps[0], steps[-1]
    name, tick_name = (day_name, day_tick) if days else (step_name, step_name)
    x_ticks = [
        step for step in ticks(x_low, x_high, wanted=5 if days else 4) if x_low <= step <= x_high and step == int(step)
    ] or [x_low]
    x_at, y_at = _scale(x_low, x_high, LEFT, WIDTH - RIGHT), _scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    if all(value == int(value) for value in values):
        y_ticks = [tick for tick in y_ticks if tick == int(tick)]
    lines = []
    for count, (key, points) in enumerate(series.items(), start=1):
        pieces = _pieces(thin(points), x_at=x_at, y_at=y_at)
        known = [value for _step, value in points if value is not None]
        lines.append(
            Line(
                label=labels[key],
                number=count,
                segments=[" ".join(f"{x:g},{y:g}" for x, y in piece) for piece in pieces if len(piece) > 1],
                dots=[piece[0] for piece in pieces if len(piece) == 1],
                last=text(known[-1]),
            )
        )
    return Chart(
        slug=slugify(next(iter(series)).replace("/", "-")),
        title=title,
        explanation=explanation,
        x_title=x_title or (_("day") if days else _("step")),
        y_title=y_title,
        lines=lines,
        x_ticks=[Tick(x_at(step), tick_name(step)) for step in x_ticks],
        y_ticks=[Tick(y_at(value), label) for value, label in zip(y_ticks, tick_labels(y_ticks), strict=True)],
        table=_table(series, name),
        description=_describe_days(labels, series) if days else _describe(labels, series),
    )


def number(value: Any) -> float | None:
    """The value where it is a finite number, else None: what a broken run writes must not break its page."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def step_name(step: float) -> str:
    return f"{step:,.0f}"


def day_name(ordinal: float) -> str:
    return date_format(date.fromordinal(int(ordinal)), "MONTH_DAY_FORMAT")


def day_tick(ordinal: float) -> str:
    """Short: Nov 24."""
    return date_format(date.fromordinal(int(ordinal)), get_format("MONTH_DAY_FORMAT").replace("F", "M"))


def text(value: float) -> str:
    """Four significant digits, without an exponent where a reader needs none."""
    if value and not 1e-4 <= abs(value) < 1e6:
        return _scientific(value, digits=3)
    rounded = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "0" if rounded == "-0" else rounded


def thin(points: Sequence[tuple[float, float | None]], *, most: int = MAX_POINTS) -> list[tuple[float, float | None]]:
    """At most `most` points: the first, the last, and of each stretch between them the lowest and the highest."""
    if len(points) <= most:
        return list(points)
    inner = points[1:-1]
    stretches = (most - 2) // 2
    kept = [points[0]]
    for stretch in range(stretches):
        part = inner[stretch * len(inner) // stretches : (stretch + 1) * len(inner) // stretches]
        known = [point for point in part if point[1] is not None]
        if not known:
            kept.append(part[0])
            continue
        low, high = min(known, key=lambda point: point[1] or 0.0), max(known, key=lambda point: point[1] or 0.0)
        kept += sorted({low, high})
    return [*kept, points[-1]]


def ticks(low: float, high: float, *, wanted: int = 5) -> list[float]:
    """Round values that cover low to high; around a constant, a little room on either side."""
    largest = max(abs(low), abs(high))
    if high - low <= max(largest * 1e-9, 1e-300):
        room = largest * 0.1 if largest > 1e-300 else 1.0
        low, high = low - room, high + room
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(count * step, 12) if step > 1e-9 else count * step for count in range(first, last + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """All with as many decimals as the steps between them need."""
    step = abs(values[1] - values[0]) if len(values) > 1 else 1.0
    largest = max(abs(value) for value in values)
    if step < 0.9e-4 or largest >= 1e6:
        digits = max(3, math.ceil(math.log10(largest / step)) + 1)
        return [_scientific(value, digits=digits) for value in values]
    decimals = next((count for count in range(6) if abs(step - round(step, count)) < step * 1e-6), 6)
    return [f"{value + 0.0:,.{decimals}f}" for value in values]


def _scientific(value: float, *, digits: int) -> str:
    """Like 1.05e-4: as short as it can be said."""
    mantissa, _e, exponent = f"{value + 0.0:.{digits - 1}e}".partition("e")
    if float(mantissa) == 0:
        return "0"
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def _scale(low: float, high: float, start: float, end: float) -> Any:
    """From low..high to start..end; where they are one value, the middle."""
    if low == high:
        return lambda value: (start + end) / 2
    return lambda value: round(start + (value - low) / (high - low) * (end - start), 2)


def _pieces(points: Iterable[tuple[float, float | None]], *, x_at: Any, y_at: Any) -> list[list[Point]]:
    """The points on the page, cut where a value is missing."""
    pieces: list[list[Point]] = [[]]
    for step, value in points:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((x_at(step), y_at(value)))
    return [piece for piece in pieces if piece]


def _table(
    series: Mapping[str, Sequence[tuple[float, float | None]]], name: Callable[[float], str]
) -> list[tuple[str, list[str]]]:
    """Evenly chosen steps, the last among them; steps with no value at all are passed over."""
    values = [{step: value for step, value in points if value is not None} for points in series.values()]
    known = sorted({step for line in values for step in line})
    chosen = sorted(known[:: -math.ceil(len(known) / MAX_TABLE_ROWS)])
    return [(name(step), [text(line[step]) if step in line else "–" for line in values]) for step in chosen]


def _describe(labels: Mapping[str, str], series: Mapping[str, Sequence[tuple[float, float | None]]]) -> str:
    """The chart in a sentence a line, for those who can't see it."""
    sentences = []
    for key, points in series.items():
        known = [(step, value) for step, value in points if value is not None]
        values = [value for _step, value in known]
        sentences.append(
            _("{label}: from {first} at step {start} to {last} at step {end}; lowest {low}, highest {high}.").format(
                label=labels[key], first=text(values[0]), start=int(known[0][0]), last=text(values[-1]),
                end=int(known[-1][0]), low=text(min(values)), high=text(max(values)),
            )
        )  # fmt: skip
    return " ".join(sentences)


def _describe_days(labels: Mapping[str, str], series: Mapping[str, Sequence[tuple[float, float | None]]]) -> str:
    sentences = []
    for key, points in series.items():
        known = [(day, value) for day, value in points if value is not None]
        values = [value for _day, value in known]
        sentences.append(
            _("{label}: from {first} on {start} to {last} on {end}; lowest {low}, highest {high}.").format(
                label=labels[key], first=text(values[0]), start=day_name(known[0][0]), last=text(values[-1]),
                end=day_name(known[-1][0]), low=text(min(values)), high=text(max(values)),
            )
        )  # fmt: skip
    return " ".join(sentences)
