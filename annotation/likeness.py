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
TOGETHER = 20_000  # characters whose bands are made at once
COMPARED = 50
SHOWN = 3

Hashes = NDArray[np.uint64]
Points = NDArray[np.uint32]

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
    return all_bands([messages])[0]


def all_bands(chats: Sequence[Sequence[Message]]) -> list[list[int]]:
    """The same of many texts at once, a fraction of the work for each."""
    bands: list[list[int]] = []
    part: list[Points] = []
    characters = 0
    for points in map(_points, chats):
        part.append(points)
        characters += points.size
        if characters > TOGETHER:
            bands += _bands(part)
            part, characters = [], 0
    return bands + _bands(part)


def _bands(texts: Sequence[Points]) -> list[list[int]]:
    """Of texts that are in memory together: their runs in one array, and from where to where each text's are."""
    bands: list[list[int]] = [[] for _text in texts]
    long_enough = [place for place, points in enumerate(texts) if points.size >= RUN]
    if not long_enough:
        return bands
    hashes = [_hashed(texts[place]) for place in long_enough]
    starts = np.cumsum([0, *(each.size for each in hashes[:-1])])
    together = np.concatenate(hashes)
    smallest = np.stack([np.minimum.reduceat(together * factor, starts) for factor in _factors], axis=1)
    folded = (smallest.reshape(-1, BANDS, ROWS) * _mix[None, None, :ROWS]).sum(axis=2, dtype=np.uint64)
    numbers = (folded >> np.uint64(32)).astype(np.uint32).view(np.int32)
    for place, of_text in zip(long_enough, numbers.tolist(), strict=True):
        bands[place] = of_text
    return bands


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
    """A hash of each run of characters."""
    return _hashed(_points(messages))


def _points(messages: Sequence[Message]) -> Points:
    """The letters and digits alone, without their case, as code points."""
    said = " ".join(turn["content"] for turn in messages)[:LONGEST]
    text = unicodedata.normalize("NFKC", said).casefold()
    plain = re.sub(r"[\W_]+", " ", text).strip()
    return np.frombuffer(plain.encode("utf-32-le", "replace"), dtype=np.uint32)


def _hashed(points: Points) -> Hashes:
    """A hash of each run of four."""
    runs = max(points.size - RUN + 1, 0)
    mixed = np.zeros(runs, dtype=np.uint64)
    for place, factor in enumerate(_mix):
        mixed += points[place : place + runs].astype(np.uint64) * factor
    return mixed ^ (mixed >> np.uint64(29))
