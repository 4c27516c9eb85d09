"""A run's curves, read from its folder."""

from __future__ import annotations

import json
from typing import Any

from training.models import TrainingRun


def metrics(run: TrainingRun) -> list[dict[str, Any]]:
    """A row a logged step; of steps that a resumed run logged twice, the later row. A line by half is not read yet."""
    path = run.output / "metrics.jsonl"
    if not path.is_file():
        return []
    whole, _, _ = path.read_text().rpartition("\n")
    rows = {row["step"]: row for line in whole.splitlines() if (row := json.loads(line))}
    return [rows[step] for step in sorted(rows)]
