"""People at a round's gate: they rank what they are given, as somebody who sees through the letters would have them."""

from __future__ import annotations

from collections.abc import Callable

from annotation import assignment
from annotation.models import Assignment, Completion, ItemKind, User
from tests.training.carrying_on import carry_on, start
from tests.training.world import Lab
from tests.world import rank
from training import rounds
from training.models import Round, RoundStage

Verdict = Callable[[int], float]  # of the how manieth pair, the new policy's score: 1, ½ or 0


def always(score: float) -> Verdict:
    return lambda _number: score


def at_the_gate(lab: Lab, *, judgements: int = 20, bar: float = 0.5, **options: object) -> Round:
    chosen = {"publish": "gate", "gate_judgements": judgements, "gate_bar": bar, **options}
    return carry_on(start(lab, **chosen))


def take(lab: Lab, person: User) -> Assignment | None:
    return assignment.take(lab.project, person, kinds=[ItemKind.RANKING])


def judge(lab: Lab, person: User, verdict: Verdict, *, most: int = 1_000) -> int:
    """Rank until nothing is left for this person; how many pairs that were."""
    done = 0
    while done < most and (piece := take(lab, person)):
        texts = Completion.objects.in_bulk(piece.shown)
        new, old = sorted(piece.shown, key=lambda pk: not texts[pk].text.startswith("new"))
        score = verdict(done)
        rank(piece, [[new, old]] if score == 0.5 else [[new], [old]] if score else [[old], [new]])
        done += 1
    return done


def looked_at(round: Round) -> Round:
    """As the sweep does it, and on to the round's end."""
    rounds.advance(round.pk)
    round.refresh_from_db()
    return carry_on(round, until=None if round.stage != RoundStage.GATE else RoundStage.GATE)
