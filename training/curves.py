"""A run's curves, read from its folder, and several runs' over one another."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from training.models import TrainingRun

Rows = list[dict[str, Any]]


def metrics(run: TrainingRun) -> Rows:
    """A row a logged step; of steps that a resumed run logged twice, the later row. A line by half is not read yet."""
    path = run.output / "metrics.jsonl"
    if not path.is_file():
        return []
    whole = path.read_text().rpartition("\n")[0]
    rows = {row["step"]: row for line in whole.splitlines() if (row := json.loads(line))}
    return [rows[step] for step in sorted(rows)]


def for_json(rows: Rows) -> Rows:
    """JSON has no word for what is not a number; there a broken run's figures are null."""
    return [
        {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
        for row in rows
    ]


def name_of(run: TrainingRun) -> str:
    """By what a run is told from others of its stage: the model that it made, else its number."""
    made = getattr(run, "policy", None) or getattr(run, "rewardmodel", None)
    return made.name if made is not None else _("Run %(number)s") % {"number": run.pk}


def overlaid(runs: Mapping[str, Rows], leave_out: Iterable[str] = ()) -> dict[str, Rows]:
    """Each metric that one of the runs logged → rows of a step with a value a run, under the run's key."""
    names = dict.fromkeys(name for rows in runs.values() for row in rows for name in row)
    left_out = {"step", *leave_out}
    return {name: _over_one_another(name, runs) for name in names if name not in left_out}


def _over_one_another(name: str, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Rows:
    by_step: dict[int, dict[str, Any]] = {}
    for key, rows in runs.items():
        for row in rows:
            if name in row:
                by_step.setdefault(row["step"], {"step": row["step"]})[key] = row[name]
    return [by_step[step] for step in sorted(by_step)]
