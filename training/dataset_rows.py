"""Rows of a dataset's files by the record that each was made of. They lie in the order of its number."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

KINDS = {  # what the rows of a dataset's files are made of
    "instructions.jsonl": "prompts",
    "demonstrations.jsonl": "demonstrations",
    "demonstrations_held_out.jsonl": "demonstrations",
    "rankings.jsonl": "rankings",
    "rankings_held_out.jsonl": "rankings",
    "prompts.jsonl": "prompts",
    "prompts_held_out.jsonl": "prompts",
}
ID = re.compile(rb'\{"id": (\d+)[,}]')


def record_id(line: bytes) -> int | None:
    """The record that a row was made of. It stands first, so that long files are looked through quickly."""
    found = ID.match(line)
    return int(found[1]) if found else None


def lines(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as file:
            yield from file


def rows_from(path: Path, number: int) -> Iterator[dict[str, Any]]:
    """The rows made of this record and of later ones, however long the file: it is halved until they are found."""
    if path.is_file():
        with path.open("rb") as file:
            _find(file, number)
            for line in file:
                yield json.loads(line)


def _find(file: BinaryIO, number: int) -> None:
    low, high = 0, os.fstat(file.fileno()).st_size
    while low < high:
        middle = (low + high) // 2
        _to_next_row(file, middle)
        line = file.readline()
        if line and (record_id(line) or 0) < number:
            low = middle + 1
        else:
            high = middle
    _to_next_row(file, low)


def _to_next_row(file: BinaryIO, place: int) -> None:
    """To the first row that begins at this byte or after it."""
    file.seek(max(0, place - 1))
    if place:
        file.readline()
