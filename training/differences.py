"""What sets two datasets apart: rows added, removed and changed, and what each was made with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from training.datasets import DatasetError
from training.models import Dataset

ID = re.compile(rb'\{"id": (\d+)[,}]')
Line = tuple[int, bytes]


@dataclass(frozen=True, kw_only=True)
class RowChanges:
    """Of one file, by the records that its rows are made of. Changed: the same record, another row."""

    name: str
    before: int
    after: int
    added: int
    removed: int
    changed: int


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that a dataset says of itself, in both; None where one says nothing of it."""

    kind: str
    name: str
    before: Any
    after: Any

    @property
    def differs(self) -> bool:
        return bool(self.before != self.after)


@dataclass(frozen=True, kw_only=True)
class Difference:
    rows: list[RowChanges]
    left_out: list[Fact]
    guidelines: list[Fact]
    made_with: list[Fact]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(before: Dataset, after: Dataset) -> Difference:
    """What `after` has that `before` has not, and the other way. Reads the files once, in little memory.

    Raises DatasetError where a file is gone or its rows are not in the order in which they were frozen.
    """
    names = sorted(before.counts.keys() | after.counts.keys())
    made = ("languages", "use_cases", "prompts_per_author", "without_gates")
    return Difference(
        rows=[_row_changes(before, after, name) for name in names],
        left_out=_nested(before.left_out, after.left_out),
        guidelines=_nested(before.guidelines, after.guidelines),
        made_with=[
            *(_fact("filter", name, before.filters.get(name), after.filters.get(name)) for name in made),
            *(
                _fact("up to", name, before.filters.get("up_to", {}).get(name), last)
                for name, last in sorted(after.filters.get("up_to", {}).items())
            ),
            _fact("code", "version", before.code_version, after.code_version),
            _fact("files", "sha256", before.sha256, after.sha256),
        ],
    )


def _row_changes(before: Dataset, after: Dataset, name: str) -> RowChanges:
    counts = {"before": before.counts.get(name, 0), "after": after.counts.get(name, 0)}
    file = f"{name}.jsonl"
    if before.files.get(file, {}).get("sha256") == after.files.get(file, {}).get("sha256"):
        return RowChanges(name=name, added=0, removed=0, changed=0, **counts)
    added = removed = changed = 0
    left, right = _lines(before, file), _lines(after, file)
    old, new = next(left, None), next(right, None)
    while old or new:
        if new is None or (old and old[0] < new[0]):
            removed, old = removed + 1, next(left, None)
        elif old is None or new[0] < old[0]:
            added, new = added + 1, next(right, None)
        else:
            changed += old[1] != new[1]
            old, new = next(left, None), next(right, None)
    return RowChanges(name=name, added=added, removed=removed, changed=changed, **counts)


def _lines(dataset: Dataset, file: str) -> Iterator[Line]:
    """Each row with the record that it was made of, in that order: so both files are walked side by side."""
    if file not in dataset.files:
        return
    path, last = dataset.folder / file, -1
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                found = ID.match(line)
                if found is None or int(found[1]) <= last:
                    raise DatasetError(
                        f"Line {number} of {path} has no id above {last}. Put back the file as it was frozen."
                    )
                last = int(found[1])
                yield last, line
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing. Put the file back to compare this dataset.") from error


def _nested(before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]) -> list[Fact]:
    return [
        _fact(kind, name, before.get(kind, {}).get(name, 0), after.get(kind, {}).get(name, 0))
        for kind in sorted(before.keys() | after.keys())
        for name in sorted(before.get(kind, {}).keys() | after.get(kind, {}).keys())
    ]


def _fact(kind: str, name: str, before: Any, after: Any) -> Fact:
    return Fact(kind=kind, name=name, before=before, after=after)
