"""Intervals below each other, as SVG: geometry here, markup in templates/training/report_whiskers.svg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from unicodedata import east_asian_width

from annotation import charts

WIDTH, LEFT, RIGHT, ROW, BOTTOM = 480, 150, 20, 28, 28
LONGEST = 22  # characters of a name that fit beside the intervals, or half as many wide ones


@dataclass(frozen=True)
class Whisker:
    name: str
    y: float
    value: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Whiskers:
    rows: list[Whisker]
    ticks: list[charts.Tick]
    height: int
    width: int = WIDTH
    left: int = LEFT
    right: int = WIDTH - RIGHT

    @property
    def bottom(self) -> int:
        return self.height - BOTTOM


def draw(intervals: Sequence[tuple[str, float, float, float]]) -> Whiskers:
    """A row for each name with its value, low and high end, over one axis."""
    ticks = charts.ticks(min(low for _n, _v, low, _h in intervals), max(high for _n, _v, _l, high in intervals))
    first, last = ticks[0], ticks[-1]

    def at(value: float) -> float:
        return round(LEFT + (value - first) / (last - first) * (WIDTH - RIGHT - LEFT), 2)

    rows = [
        Whisker(
            name=_shortened(name),
            y=ROW * (place + 0.5),
            value=at(value),
            low=at(low),
            high=at(high),
            text=f"{name}: {charts.text(value)} [{charts.text(low)}, {charts.text(high)}]",
        )
        for place, (name, value, low, high) in enumerate(intervals)
    ]
    labels = zip(ticks, charts.tick_labels(ticks), strict=True)
    return Whiskers(rows, [charts.Tick(at(tick), label) for tick, label in labels], ROW * len(rows) + BOTTOM)


def _shortened(name: str) -> str:
    widths = list(accumulate(2 if east_asian_width(character) in "WF" else 1 for character in name))
    if not widths or widths[-1] <= LONGEST:
        return name
    return f"{name[: sum(width < LONGEST for width in widths)]}…"
