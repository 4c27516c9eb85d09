"""Which texts nearly repeat each other, in any language: by the runs of four characters that they share.

Every instruction keeps a few numbers (`bands`) made of the smallest hashes of its runs (MinHash). Two texts that share
60% of their runs have a number in common with a probability of 95%, two that share 5% with one of 0.2%; so an index
finds the few to compare in full.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotation.models import Project, Prompt
from annotation.models.texts import Message

RUN = 4
BANDS, ROWS = 12, 3
ALIKE = 0.6  # of the runs of both
SHORTEST = 12  # characters: less is hardly begun
LONGEST = 50_000  # what comes after is not compared
COMPARED = 50
SHOWN = 3

Hashes = NDArray[np.uint64]

_dice = np.random.Generator(np.random.PCG64(0x504C554D))
_factors = _dice.integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_mix = _dice.integers(1, 2**63, RUN, dtype=np.uint64) * np.uint64(2) + np.uint64(1)

NEAREST = """
select id, messages from annotation_prompt
where project_id = %(project)s and bands && %(bands)s::int[] and id is distinct from %(besides)s
order by cardinality(array(select unnest(bands) intersect select unnest(%(bands)s::int[]))) desc, id limit %(most)s
"""


class Like(NamedTuple):
    """An instruction that is there already, and how much of the two texts is shared, from 0 to 1."""

    text: str
    likeness: float


def bands_of(messages: Sequence[Message]) -> list[int]:
    """The numbers by which the index finds a text like this one. None for a text shorter than a run."""
    hashes = _hashes(messages)
    if not hashes.size:
        return []
    smallest = (hashes[:, None] * _factors[None, :]).min(axis=0)
    folded = (smallest.reshape(BANDS, ROWS) * _mix[None, :ROWS]).sum(axis=1, dtype=np.uint64)
    numbers: list[int] = (folded >> np.uint64(32)).astype(np.uint32).view(np.int32).tolist()
    return numbers


def likeness(one: Sequence[Message], other: Sequence[Message]) -> float:
    """How many of the runs of both texts are in both."""
    first, second = np.unique(_hashes(one)), np.unique(_hashes(other))
    if not first.size or not second.size:
        return 0.0
    shared = np.intersect1d(first, second, assume_unique=True).size
    return float(shared / (first.size + second.size - shared))


def alike(project: Project, messages: Sequence[Message], *, besides: int | None = None) -> list[Like]:
    """The project's instructions that nearly repeat this one, the nearest first. `besides`: its own id."""
    bands = bands_of(messages)
    if not bands or sum(len(turn["content"]) for turn in messages) < SHORTEST:
        return []
    asked = {"project": project.pk, "bands": bands, "besides": besides, "most": COMPARED}
    found = Prompt.objects.raw(NEAREST, asked)
    compared = [Like(prompt.text, likeness(messages, prompt.messages)) for prompt in found]
    near = [like for like in compared if like.likeness >= ALIKE]
    return sorted(near, key=lambda like: -like.likeness)[:SHOWN]


def _hashes(messages: Sequence[Message]) -> Hashes:
    """A hash of each run of characters, letters and digits alone, without their case."""
    said = " ".join(turn["content"] for turn in messages)[:LONGEST]
    text = unicodedata.normalize("NFKC", said).casefold()
    plain = re.sub(r"[\W_]+", " ", text).strip()
    points = np.frombuffer(plain.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    if points.size < RUN:
        return np.empty(0, dtype=np.uint64)
    windows = np.lib.stride_tricks.sliding_window_view(points, RUN)
    mixed = (windows * _mix[None, :]).sum(axis=1, dtype=np.uint64)
    hashes: Hashes = mixed ^ (mixed >> np.uint64(29))
    return hashes
