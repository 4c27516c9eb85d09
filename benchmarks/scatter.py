"""A figure for docs/: panels of curves through points, as one SVG without scripts, styles or fonts of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 380, 300  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 30, 46
# Okabe and Ito's colours, told apart by colour-blind people, and a mark of its own for each curve.
COLOURS = ("#000000", "#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7")
MARKS = ("●", "■", "□", "▲", "△", "◆", "◇")


@dataclass(frozen=True)
class Series:
    name: str
    points: Sequence[tuple[float, float]]


def draw(panels: Mapping[str, Sequence[Series]], *, x_title: str) -> str:
    """The panels side by side, the names of the curves (the same in each) below them."""
    names = [series.name for series in next(iter(panels.values()))]
    width, height = WIDTH * len(panels), HEIGHT + 22 * math.ceil(len(names) / 3) + 12
    body = [piece for i, (title, curves) in enumerate(panels.items()) for piece in _panel(i, title, curves, x_title)]
    for i, name in enumerate(names):
        x, y = 24 + i % 3 * (width - 24) / 3, HEIGHT + 16 + 22 * (i // 3)
        body.append(_text(x, y, f"{MARKS[i % len(MARKS)]} {name}", anchor="start", colour=COLOURS[i % len(COLOURS)]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{escape(", ".join(panels))}">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def ticks(low: float, high: float, *, wanted: int = 5) -> list[float]:
    """Round numbers from below `low` to above `high`, about `wanted` of them."""
    rough = max(high - low, 1e-9) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(each for each in (1, 2, 5, 10) if each * power >= rough)
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _panel(number: int, title: str, curves: Sequence[Series], x_title: str) -> Iterable[str]:
    points = [point for series in curves for point in series.points]
    x_ticks = ticks(0, max(x for x, _ in points))
    y_ticks = ticks(min(y for _, y in points), max(y for _, y in points))
    left, right, bottom = number * WIDTH + LEFT, (number + 1) * WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = x / x_ticks[-1]
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return round(left + across * (right - left), 1), round(bottom - up * (bottom - TOP), 1)

    yield _text((left + right) / 2, 18, title, weight="bold")
    yield _text((left + right) / 2, HEIGHT - 8, x_title)
    for y in y_ticks:
        at = place(0, y)[1]
        yield f'<path d="M{left} {at}H{right}" stroke="#dddddd"/>'
        yield _text(left - 6, at + 4, f"{y:g}" if abs(y) > 1e-9 else "0", anchor="end")
    for x in x_ticks:
        yield _text(place(x, y_ticks[0])[0], bottom + 16, f"{x:g}")
    for i, series in enumerate(curves):
        colour, mark = COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)]
        placed = [place(x, y) for x, y in series.points]
        line = " ".join(f"{x},{y}" for x, y in placed)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        yield from (_text(x, y + 4, mark, colour=colour) for x, y in placed)


def _text(x: float, y: float, text: str, *, anchor: str = "middle", colour: str = "#333333", weight: str = "") -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}"{bold}>{escape(text)}</text>'
