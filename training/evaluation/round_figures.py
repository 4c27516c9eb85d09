"""The figures of the evaluation that a round ends with, and their 95% intervals by a bootstrap over prompts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

from training.evaluation.intervals import bootstrap, ratio
from training.models import TrainingRun

BY_PROMPT = "by_prompt.json"  # figure → of each prompt a sum and its divisor, as the stage `evaluate` writes it
INTERVALS = "intervals"  # among a round's figures, and those of its models: theirs by their names


def of_run(run: TrainingRun) -> dict[str, Any]:
    """What a round keeps of its evaluation. No intervals of what was measured before they were kept."""
    figures = {name: value for name, value in run.result.items() if name != "seconds"}
    path = run.output / BY_PROMPT
    kept: Mapping[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    found = {
        name: bootstrap(rows, ratio).as_json()
        for name, rows in kept.items()
        if rows and all(map(math.isfinite, chain.from_iterable(rows)))
    }
    return figures | ({INTERVALS: found} if found else {})
