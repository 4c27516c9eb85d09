"""The small world that the starter model learns: who and what there is, and what is true of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Phrases:
    """How one task is asked and answered in one language: format strings over the task's slots."""

    prompts: tuple[str, ...]
    plain: tuple[str, ...]
    """Right and polite, and no more than was asked."""
    curt: tuple[str, ...]
    """The bare answer, not even a sentence."""
    detail: tuple[str, ...] = ()
    """A second sentence that makes the answer complete; tasks without one are complete when plain."""


@dataclass(frozen=True)
class World:
    """Entities and facts in one language. Every value is a word (or a short phrase) as it stands in a sentence."""

    language: str
    names: tuple[str, ...]
    objects: tuple[str, ...]
    colours: tuple[str, ...]
    looks: tuple[str, ...]
    animals: Mapping[str, tuple[str, str]]
    """animal -> (what it eats, where it lives)"""
    countries: Mapping[str, tuple[str, str]]
    """country -> (its capital, its continent)"""
    places: Mapping[str, tuple[str, ...]]
    """place -> what one can do there"""
    hobbies: Mapping[str, tuple[str, ...]]
    """hobby -> presents for somebody who has it"""
    foods: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]
    deeds: tuple[str, ...]
    """what an animal did in a story"""
    kinds: Mapping[str, str]
    """what a thing is called as a member of animals, foods, objects"""
    labels: tuple[str, str]
    """what a good and a bad review are called"""
    synonyms: Mapping[str, tuple[str, ...]]
    """other words that a person would accept"""
    phrases: Mapping[str, Phrases] = field(repr=False)


def fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone: the same in every process and on every machine."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_of(combination: str) -> str:
    """Which split an entity-and-template combination belongs to; corpus and demonstrations only see `train`."""
    place = fraction("split", combination)
    return "train" if place < 0.8 else "validation" if place < 0.88 else "test"
