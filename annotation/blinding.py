"""What somebody who ranks sees of the outputs: letters by the position shown, and texts. Nothing else leaves.

Database ids grow with time and so could betray a generator; on the wire and in pages there are only letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from django.utils.translation import gettext as _

from annotation import prepared
from annotation.models import Assignment
from annotation.refusals import Refused

TEXTS = "select id, text from annotation_completion where id = any(%s::bigint[])"
LETTERS = "abcdefghi"

Value = TypeVar("Value")


class Output(NamedTuple):
    id: str
    text: str


def outputs(assignment: Assignment) -> list[Output]:
    """The outputs in the order shown. One query."""
    texts = dict(prepared.rows(TEXTS, [assignment.shown]))
    return [Output(letter, texts[shown]) for letter, shown in zip(LETTERS, assignment.shown, strict=False)]


def groups_by_id(assignment: Assignment, groups: Sequence[Sequence[str]]) -> list[list[int]]:
    return [[_id(assignment, letter) for letter in group] for group in groups]


def by_id(assignment: Assignment, values: Mapping[str, Value]) -> dict[int, Value]:
    return {_id(assignment, letter): value for letter, value in values.items()}


def groups_by_letter(assignment: Assignment, groups: Sequence[Sequence[int]]) -> list[list[str]]:
    letters = dict(zip(assignment.shown, LETTERS, strict=False))
    return [[letters[shown] for shown in group] for group in groups]


def by_letter(assignment: Assignment, values: Mapping[int, Value]) -> dict[str, Value]:
    letters = dict(zip(assignment.shown, LETTERS, strict=False))
    return {letters[shown]: value for shown, value in values.items()}


def _id(assignment: Assignment, letter: str) -> int:
    letters = LETTERS[: len(assignment.shown)]
    if len(letter) != 1 or letter not in letters:
        raise Refused(
            _("There is no output %(found)r; expected one of %(letters)s.")
            % {"found": letter, "letters": ", ".join(letters)}
        )
    return assignment.shown[letters.index(letter)]
