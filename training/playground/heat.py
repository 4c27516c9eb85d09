"""An answer's figures as steps that a line of text can show, each told by a shape as well as by a colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

from training.playground.answering import Answer, Cell

LIKELY = (0.5, 0.1, 0.01)  # probabilities: below each of them a step up
MOVED = (0.1, 1.0)  # nats: above each of them a step up


@dataclass(frozen=True)
class Shown:
    """A cell with its steps: `surprise` 0 to 3, `moved` 0 to 2, towards the policy ("more") or away ("less")."""

    cell: Cell
    is_end: bool
    probability: float
    surprise: int
    moved: int
    towards: str

    @property
    def text(self) -> str:
        return self.cell.text.replace("\n", "↵\n")

    @property
    def name(self) -> str:
        """The same where it stands alone, and nothing but a space would not be seen."""
        return self.text if self.text.strip() else self.text.replace(" ", "␣")


def shown(answer: Answer) -> list[Shown]:
    return [
        _shown(cell, is_end=not cell.text and number == len(answer.cells))
        for number, cell in enumerate(answer.cells, 1)
    ]


def _shown(cell: Cell, *, is_end: bool) -> Shown:
    probability, difference = math.exp(cell.logprob), cell.difference or 0.0
    return Shown(
        cell=cell,
        is_end=is_end,
        probability=probability,
        surprise=sum(probability < bound for bound in LIKELY),
        moved=sum(abs(difference) > bound for bound in MOVED),
        towards="more" if difference > 0 else "less",
    )
