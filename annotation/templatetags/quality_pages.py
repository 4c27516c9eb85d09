"""Figures with their intervals, as text and drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django import template

register = template.Library()

NONE = "–"
WIDTH = 100


Figure = Mapping[str, float | None]  # a `value` and the ends of its interval, `low` and `high`; None: not known


@register.filter
def percent(value: float | None) -> str:
    return NONE if value is None or math.isnan(value) else f"{value:.0%}"


@register.filter
def decimal(value: float | None) -> str:
    return NONE if value is None or math.isnan(value) else f"{value:.2f}".replace("-0.00", "0.00")


@register.inclusion_tag("annotation/estimate.html")
def share(figure: Figure, against: float | None = None) -> dict[str, Any]:
    """A share from 0 to 1 in percent, its interval, and both on a line; `against` is marked on the line."""
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return {"text": percent(value)}
    ends = {"value": value, "low": max(0.0, low), "high": min(1.0, high)}
    return {
        "text": percent(value),
        "range": f"{low * 100:.0f}–{high:.0%}",
        "line": {name: round(WIDTH * end, 1) for name, end in ends.items()},
        "against": None if against is None else round(WIDTH * against, 1),
    }


@register.inclusion_tag("annotation/estimate.html")
def coefficient(figure: Figure) -> dict[str, Any]:
    """A figure with two decimals, and its interval if it has one."""
    known = figure["low"] is not None
    return {
        "text": decimal(figure["value"]),
        "range": f"{decimal(figure['low'])} – {decimal(figure['high'])}" if known else "",
    }
