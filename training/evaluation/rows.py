"""What an evaluation reads: rows of a dataset's files, some of them chosen, and the groups they are told by."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from training.evaluation.intervals import Interval
from training.models import Dataset

GROUPS = ("use_case", "language", "kind")  # of prompts
Each = TypeVar("Each")
Row = dict[str, Any]


def read(path: Path) -> Iterator[Row]:
    """The rows of a file of JSON lines; none where there is no such file."""
    if path.is_file():
        with path.open() as file:
            for line in file:
                yield json.loads(line)


def of_dataset(dataset: Dataset, name: str) -> Iterator[Row]:
    return read(dataset.folder / f"{name}.jsonl")


def chosen(rows: Iterable[Row], *, count: int) -> list[Row]:
    """At most `count` rows, by the hash of their id: as arbitrary as a draw, and the same ones every time."""
    return sorted(rows, key=lambda row: hashlib.sha256(str(row["id"]).encode()).digest())[:count]


def kinds(dataset: Dataset) -> dict[int, str]:
    """What kind each prompt is of."""
    return {row["id"]: row["kind"] for row in of_dataset(dataset, "instructions")}


def measured(
    rows: Sequence[tuple[Mapping[str, str], Each]], measure: Callable[[Sequence[Each]], Mapping[str, Interval]]
) -> dict[str, Any]:
    """Over all rows, and over those of each value that one of GROUPS has among their facts."""
    return {
        "overall": _as_json(measure([each for _facts, each in rows])),
        "groups": {
            group: {
                value: _as_json(measure([each for facts, each in rows if facts.get(group) == value]))
                for value in sorted({facts[group] for facts, _each in rows if group in facts})
            }
            for group in GROUPS
        },
    }


def _as_json(found: Mapping[str, Interval]) -> dict[str, Any]:
    """Without what is no number, such as the mean reward by a reward model that broke."""
    return {name: interval.as_json() for name, interval in found.items() if math.isfinite(interval.value)}
