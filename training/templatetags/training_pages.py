"""Words and numbers of the researcher's pages: states, durations, figures with their meaning."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django import template
from django.utils.translation import gettext as _

from annotation import charts
from annotation.money import as_pay
from training.evaluation.round_figures import INTERVALS
from training.models import RoundState, RunState, TrainingRun
from training.views import meanings, stages

register = template.Library()

MARKDOWN = re.compile(r"[\\`*_{}\[\]<>()#+!|~$-]")

BADGES: dict[str, str] = {
    RunState.QUEUED: "waiting",
    RunState.RUNNING: "running",
    RunState.SUCCEEDED: "done",
    RoundState.PUBLISHED: "done",
    RoundState.FINISHED: "done",
    RoundState.GATE: "waiting",
    RoundState.REJECTED: "stopped",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "cancelled",
}


@register.filter
def badge_state(state: str) -> str:
    """The data-state of a badge for the state of a run or round."""
    return BADGES.get(state, "")


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as a person says them; two units at most."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return _("%(count)s s") % {"count": f"{seconds:.1f}"}
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    if minutes:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}
    return _("%(count)s s") % {"count": rest}


@register.filter
def amount(cost: tuple[Decimal, str]) -> str:
    """Money as the reader's language writes it."""
    return as_pay(*cost)


@register.filter
def figure(value: Any) -> str:
    """A measured number, short; a dash where there is none."""
    number = charts.number(value)
    return "–" if number is None else charts.text(number)


@register.filter
def short(value: Any) -> str:
    """A measured number to three significant digits, where the reader compares and does not compute."""
    number = charts.number(value)
    return "–" if number is None else charts.text(float(f"{number:.3g}"))


@register.filter
def explained(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """The numbers among a model's or run's figures, each with what it means and, where one is known, its interval."""
    intervals = figures.get(INTERVALS, {})
    order = {name: place for place, name in enumerate(meanings.MEANINGS)}
    return [
        {
            "name": name,
            "value": figures[name],
            "meaning": meanings.meaning(name),
            "interval": intervals.get(name),
        }
        for name in sorted(figures, key=lambda name: (order.get(name, len(order)), len(name), name))
        if charts.number(figures[name]) is not None
    ]


@register.filter
def seconds_left(run: TrainingRun) -> float | None:
    return stages.seconds_left(run)


@register.filter
def setting(value: Any) -> str:
    """A hyperparameter's value, exactly as it would be typed."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


@register.filter
def plain(text: str) -> str:
    """A name as Markdown shows it, whatever stands in it: no mark of it means anything, and it is one line."""
    return MARKDOWN.sub(r"\\\g<0>", " ".join(str(text).split()))


@register.filter
def bracketed(cell: Any) -> str:
    """A figure with its interval, as one text."""
    if not cell:
        return "–"
    low, high = (cell["low"], cell["high"]) if isinstance(cell, dict) else (cell.low, cell.high)
    value = short(cell["value"] if isinstance(cell, dict) else cell.value)
    return value if low is None else f"{value} [{short(low)}, {short(high)}]"
