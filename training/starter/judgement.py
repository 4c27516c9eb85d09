"""How a simulated annotator judges answers: the gold, seen through their own taste, noise and indifference.

Everything is a function of the annotator's name, the seed and the texts, so a judgement can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from training.starter import reading
from training.starter.gold import Verdict, judge
from training.starter.world import fraction


@dataclass(frozen=True)
class Judgement:
    """One annotator's opinion of K answers, in the order in which they were given."""

    groups: tuple[tuple[int, ...], ...]
    """Places of the answers, best group first; answers of one group are tied."""
    ratings: tuple[int, ...]
    """1 (very bad) to 7 (excellent)."""
    flags: tuple[tuple[str, ...], ...]
    """What is wrong with each answer."""

    @property
    def ranks(self) -> tuple[int, ...]:
        """Rank of each answer from 1; tied answers share one."""
        rank = {place: number for number, group in enumerate(self.groups, start=1) for place in group}
        return tuple(rank[place] for place in range(len(self.ratings)))


@dataclass(frozen=True)
class Annotator:
    """Somebody who ranks."""

    name: str
    seed: int = 0
    noise: float = 0.25
    """Standard deviation of what one look at one answer adds to the gold's score."""
    indifference: float = 0.05
    """Answers whose perceived scores are nearer than this are tied."""

    def _lean(self, trait: str) -> float:
        """This person's own weight for a trait, from -1 to 1: the source of lasting disagreement."""
        return 2 * fraction("lean", self.name, trait) - 1

    def perceives(self, prompt: str, text: str, verdict: Verdict | None = None) -> float:
        """The answer's worth as this annotator sees it: the gold, their taste, and the noise of this look."""
        verdict = verdict or judge(prompt, text)
        taste = 0.05 * self._lean("length") * min(1.0, len(reading.units(text)) / 20)
        taste += 0.08 * self._lean("manners") * (verdict.polite < 1)
        taste += 0.05 * self._lean("completeness") * (verdict.complete < 1)
        luck = min(max(fraction("look", self.name, self.seed, prompt, text), 1e-9), 1 - 1e-9)
        return verdict.score + taste + self.noise * NormalDist().inv_cdf(luck)

    def ranks(self, prompt: str, texts: Sequence[str]) -> Judgement:
        """Orders the answers from best to worst, with ties, and rates and flags each. Equal texts are always tied."""
        verdicts = [judge(prompt, text) for text in texts]
        seen = [self.perceives(prompt, text, verdict) for text, verdict in zip(texts, verdicts, strict=True)]
        groups: list[list[int]] = []
        for place in sorted(range(len(texts)), key=lambda place: -seen[place]):
            if groups and seen[groups[-1][0]] - seen[place] < self.indifference:
                groups[-1].append(place)
            else:
                groups.append([place])
        severity = 0.5 * self._lean("severity")
        return Judgement(
            groups=tuple(tuple(sorted(group)) for group in groups),
            ratings=tuple(min(7, max(1, round(1 + 6 * worth + severity))) for worth in seen),
            flags=tuple(flags(verdict) for verdict in verdicts),
        )


def flags(verdict: Verdict) -> tuple[str, ...]:
    """What an annotator would tick for an answer; the names are those of the starter project's label schema."""
    marked = {
        "fails_instruction": verdict.does_what_was_asked < 0.5,
        "wrong": verdict.right < 1,
        "incomplete": verdict.sentences < 1 or verdict.fluent < 1,
        "rude": verdict.polite < 1,
        "repetitive": verdict.fresh < 1,
    }
    return tuple(name for name, is_marked in marked.items() if is_marked)
