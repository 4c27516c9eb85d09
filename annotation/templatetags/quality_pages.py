"""Figures with their intervals, as text and drawn."""

from __future__ import annotations

import math
from typing import Any, Protocol

from django import template

register = template.Library()

NONE = "–"
WIDTH = 100


class Figure(Protocol):
    """What has a value and the ends of an interval; NaN where nothing is known."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@register.filter
def percent(value: float | None) -> str:
    return NONE if value is None or math.isnan(value) else f"{value:.0%}"


@register.filter
def decimal(value: float | None) -> str:
    return NONE if value is None or math.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00")


@register.inclusion_tag("annotation/estimate.html")
def share(figure: Figure, against: float | None = None) -> dict[str, Any]:
    """A share from 0 to 1 in percent, its interval, and both on a line; `against` is marked on the line."""
    if math.isnan(figure.value):
        return {"text": NONE}
    return {
        "text": percent(figure.value),
        "range": f"{figure.low * 100:.0f}–{figure.high:.0%}",
        "line": {name: round(WIDTH * value, 1) for name, value in _ends(figure)},
        "against": None if against is None or math.isnan(against) else round(WIDTH * against, 1),
    }


@register.inclusion_tag("annotation/estimate.html")
def coefficient(figure: Figure) -> dict[str, Any]:
    """A figure with two decimals, and its interval if it has one."""
    if math.isnan(figure.value):
        return {"text": NONE}
    known = not math.isnan(figure.low)
    return {
        "text": decimal(figure.value),
        "range": f"{decimal(figure.low)} – {decimal(figure.high)}" if known else "",
    }


def _ends(figure: Figure) -> list[tuple[str, float]]:
    return [("value", figure.value), ("low", max(0.0, figure.low)), ("high", min(1.0, figure.high))]
