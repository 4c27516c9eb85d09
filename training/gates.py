"""A round's gate: outputs of its policy and of the current one, two at a time, blind, in people's ordinary queue.

How many judgements it takes is settled beforehand, and nobody looks at what they say before all are in (one look). What
nobody will judge, since it was skipped, taken back or rejected, gives way to a spare pair that was sampled beside it.
Pairs that say the same are ties, and an output that says nothing loses to one that says something: nobody is asked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from math import ceil
from typing import Any

from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import MD5, Concat
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import assignment, screening
from annotation.collection import NewCompletion, RankingSet, add_completions, add_ranking_items
from annotation.models import (
    Assignment,
    AssignmentState,
    ChosenBy,
    Item,
    Project,
    Prompt,
    Ranking,
    ReviewState,
    Split,
)
from training import formats, generation
from training.evaluation.intervals import FEWEST
from training.evaluation.round_figures import INTERVALS
from training.evaluation.win_rate import Duel, win_rate
from training.hyperparameters import InputError
from training.models import Gate, GateOutcome, GatePair, PairState, Policy, Round, TrainingRun

SPARE = 0.25  # of the judgements, so many more pairs are sampled
OUTPUT = 2  # of each prompt an even number: half by either policy


def held_out(project: Project) -> QuerySet[Prompt]:
    """The prompts that a gate may ask about: none of them is trained on, and everybody may see them."""
    return Prompt.objects.usable().filter(project=project, harmful=False).exclude(split=Split.TRAIN)


def request(round: Round) -> dict[str, Any]:
    """What the gate's run samples from. InputError where there are too few held-out prompts to tell anything by."""
    prompts = _prompts(round)
    if len(prompts) < FEWEST:
        raise InputError(too_few_prompts(len(prompts)))
    return {
        "base": round.speaker,
        "reference": rival_of(round),
        "inputs": {"prompts": [formats.prompt_row(prompt) for prompt in prompts], "queue": False},
    }


def too_few_prompts(found: int) -> str:
    return _("A gate asks about prompts that are held out: {found} found, at least {least} needed.").format(
        found=found, least=FEWEST
    )


def sampling(round: Round) -> dict[str, Any]:
    """The settings that are the gate's own: each policy says as much to every prompt, and nothing is chosen from it."""
    each = ceil(pairs_wanted(round.options["gate_judgements"]) / len(_prompts(round)))
    return {"completions": OUTPUT * each, "candidates": 0, "seed": round.options["seed"] + round.number}


def pairs_wanted(judgements: int) -> int:
    return ceil(judgements * (1 + SPARE))


def rival_of(round: Round) -> Policy | None:
    """The current policy; before any is published, the one that the round's was trained from."""
    speaker = round.speaker
    if speaker is None:
        return None
    return Policy.objects.exclude(pk=speaker.pk).current(round.project) or speaker.parent


@transaction.atomic
def open_for(round: Round, run: TrainingRun) -> Gate:
    """Put the pairs that the run sampled in the queue; those of a gate that was closed before its end, again."""
    if gate := Gate.objects.filter(round=round).first():
        _reopen(gate)
        return gate
    assert run.base is not None and run.reference is not None  # noqa: S101, PT018 - a gate's run compares two
    options = round.options
    gate = Gate.objects.create(
        round=round, rival=run.reference, judgements=options["gate_judgements"], bar=options["gate_bar"]
    )
    sampled = _sampled(run)
    new, rival = (
        add_completions(policy.generator, [pair[side] for pair in sampled])
        for side, policy in enumerate((run.base, run.reference))
    )
    shown = [each for each in zip(new, rival, strict=True) if not any(output.is_held for output in each)]
    GatePair.objects.bulk_create(
        GatePair(
            gate=gate, place=place, prompt_id=ours.prompt_id, new=ours, rival=theirs,
            settled=settled(ours.text, theirs.text),
        )
        for place, (ours, theirs) in enumerate(shown)
    )  # fmt: skip
    _use(gate, gate.judgements)
    return gate


def settled(new: str, rival: str) -> float | None:
    """The new policy's score where it needs no judgement; None where people have to say."""
    said, other = new.strip(), rival.strip()
    if said == other:
        return 0.5
    return None if said and other else float(bool(said))


def standing(gate: Gate) -> tuple[int, int]:
    """How many judgements are in, and of these how many were settled without asking anybody."""
    used = _used(gate)
    scores = _scores(gate, used)
    return len(scores), sum(pair.settled is not None for pair in used if pair.pk in scores)


@transaction.atomic
def is_through(gate: Gate) -> bool:
    """Put spare pairs in the place of those that nobody will judge; whether all judgements are in that will come.

    A pair that somebody skipped stays for others where no spare one is left. One whose piece changes hands at this very
    moment is left for the next look.
    """
    still = _still(gate)
    used = _used(gate)
    at_work, skipped = (_items(gate, state) for state in (AssignmentState.LEASED, AssignmentState.SKIPPED))
    scores = _scores(gate, used)  # last: what was at work before may be judged by now
    wanting = [pair for pair in used if pair.pk not in scores]
    lost, doubtful = list[GatePair](), list[GatePair]()
    for pair in wanting:
        if pair.item_id is not None and pair.item_id not in still:
            continue
        is_open = pair.item is not None and bool(pair.item.open_slots) and pair.prompt.review != ReviewState.REJECTED
        if pair.item_id not in at_work and not is_open:
            lost.append(pair)
        elif pair.item_id not in at_work and pair.item_id in skipped:
            doubtful.append(pair)
    missing = gate.judgements - len(used)  # of prompts that were taken back since
    spare = _spare(gate).count()
    replaced = [*lost, *doubtful[: max(0, spare - missing - len(lost))]]
    GatePair.objects.filter(pk__in=[pair.pk for pair in replaced]).update(state=PairState.REPLACED)
    assignment.withhold([pair.item_id for pair in replaced if pair.item_id is not None])
    used_now = _use(gate, missing + len(replaced))
    return len(wanting) == len(replaced) and all(pair.settled is not None for pair in used_now)


@transaction.atomic
def conclude(gate: Gate) -> GateOutcome:
    """The one look: what all judgements say, kept with the gate and its policy."""
    used = _used(gate, "new", "rival")
    scores = _scores(gate, used)
    gate.result = _result([pair for pair in used if pair.pk in scores], scores)
    gate.outcome = _outcome(gate)
    gate.save(update_fields=["result", "outcome"])
    policy = gate.round.speaker
    if policy is not None and gate.result:
        intervals = {name: gate.result[name] for name in ("win_rate", "win_rate_equal_length")}
        figures = {name: interval["value"] for name, interval in intervals.items()}
        figures[INTERVALS] = {**policy.figures.get(INTERVALS, {}), **intervals}
        Policy.objects.filter(pk=policy.pk).update(figures={**policy.figures, **figures})
    return GateOutcome(gate.outcome)


@transaction.atomic
def close(gate: Gate) -> None:
    """Ask nobody any more. What people judged so far are rankings like any others from now on."""
    items = Item.objects.filter(gate_pair__gate=gate)
    assignment.withhold(list(items.values_list("pk", flat=True)))
    items.update(sealed=False)
    Gate.objects.filter(pk=gate.pk).update(closed_at=timezone.now())


def _reopen(gate: Gate) -> None:
    items = Item.objects.filter(gate_pair__gate=gate)
    items.update(sealed=True)
    assignment.ask_again(list(items.filter(gate_pair__state=PairState.USED).values_list("pk", flat=True)))
    Gate.objects.filter(pk=gate.pk).update(closed_at=None)


def _prompts(round: Round) -> list[Prompt]:
    """As many as there are pairs wanted, of different texts, by a hash: as arbitrary as a draw, the same each time."""
    lot = MD5(Concat(Value(f"gate {round.options['seed']}:"), "digest"))
    return generation.distinct(
        held_out(round.project).annotate(lot=lot).order_by("lot", "id"), pairs_wanted(round.options["gate_judgements"])
    )


def _sampled(run: TrainingRun) -> list[tuple[NewCompletion, NewCompletion]]:
    """The pairs, the new policy's output first. Each prompt is asked once before any is asked a second time."""
    with (run.folder / "samples.jsonl").open() as file:
        rows = [json.loads(line) for line in file]
    there = set(Prompt.objects.filter(pk__in=[row["id"] for row in rows]).values_list("pk", flat=True))
    found = []
    for row in rows:
        if row["id"] in there:  # else its author has taken it back since
            sides = [
                [each for each in row["completions"] if bool(each.get("beside")) == beside] for beside in (False, True)
            ]
            made = [[_new(run, row["id"], sample) for sample in side] for side in sides]
            found += [(turn, pair) for turn, pair in enumerate(zip(*made, strict=True))]
    return [pair for _turn, pair in sorted(found, key=lambda each: each[0])]


def _new(run: TrainingRun, prompt: int, sample: dict[str, Any]) -> NewCompletion:
    return NewCompletion(
        prompt_id=prompt, text=sample["text"].strip(), sampling=generation.settings_of(run, sample), seed=sample["seed"]
    )


def _use(gate: Gate, count: int) -> list[GatePair]:
    """Take so many spare pairs into use, as far as there are any."""
    pairs = list(_spare(gate).select_related("prompt")[: max(0, count)])
    asked = [pair for pair in pairs if pair.settled is None]
    sets = [RankingSet(pair.prompt, [pair.new_id, pair.rival_id], chosen_by=ChosenBy.LOT) for pair in asked]
    for pair, item in zip(asked, add_ranking_items(gate.round.project, sets, overlap=1, sealed=True), strict=True):
        pair.item = item
    for pair in pairs:
        pair.state = PairState.USED
    GatePair.objects.bulk_update(pairs, ["item", "state"])
    return pairs


def _spare(gate: Gate) -> QuerySet[GatePair]:
    return gate.pairs.filter(state=PairState.SPARE).exclude(prompt__review=ReviewState.REJECTED)


def _used(gate: Gate, *besides: str) -> list[GatePair]:
    return list(gate.pairs.filter(state=PairState.USED).select_related("prompt", "item", *besides))


def _still(gate: Gate) -> set[int]:
    """The pieces in use that nobody takes up, skips or lets run out before this transaction ends."""
    items = Item.objects.filter(gate_pair__gate=gate, gate_pair__state=PairState.USED)
    return {item.pk for item in items.select_for_update(of=("self",), skip_locked=True)}


def _items(gate: Gate, state: AssignmentState) -> set[int]:
    """The pieces that somebody has in this state."""
    there = Assignment.objects.filter(item__gate_pair__gate=gate, state=state)
    return set(there.values_list("item_id", flat=True))


def _scores(gate: Gate, used: Collection[GatePair]) -> dict[int, float]:
    """The new policy's score by pair, of those that are settled or judged.

    What reviewers rejected does not count, and nor does what people ranked who have not qualified.
    """
    qualified = screening.qualified(gate.round.project)
    ranked = Ranking.objects.filter(assignment__item__gate_pair__gate=gate, assignment__repeat=0)
    ranked = ranked.exclude(review=ReviewState.REJECTED)
    if qualified is not None:
        ranked = ranked.filter(annotator__in=qualified)
    first: dict[int, Ranking] = {}
    for ranking in ranked.order_by("-pk").select_related("assignment"):
        assert ranking.assignment is not None  # noqa: S101 - it was chosen by its piece
        first[ranking.assignment.item_id] = ranking
    scores: dict[int, float] = {}
    for pair in used:
        if pair.prompt.review == ReviewState.REJECTED:
            continue
        if pair.settled is not None:
            scores[pair.pk] = pair.settled
        elif pair.item_id in first:
            ranks = first[pair.item_id].ranks()
            scores[pair.pk] = (
                1 + (ranks[pair.new_id] < ranks[pair.rival_id]) - (ranks[pair.new_id] > ranks[pair.rival_id])
            ) / 2
    return scores


def _result(pairs: Sequence[GatePair], scores: dict[int, float]) -> dict[str, Any]:
    """Empty where there is nothing to tell a win rate by."""
    if not pairs:
        return {}
    found = win_rate(
        [Duel(pair.prompt_id, scores[pair.pk], len(pair.new.text), len(pair.rival.text)) for pair in pairs]
    )
    counts = [scores[pair.pk] for pair in pairs]
    return {
        "judgements": len(pairs),
        "settled": sum(pair.settled is not None for pair in pairs),
        "wins": counts.count(1.0),
        "ties": counts.count(0.5),
        "losses": counts.count(0.0),
        "win_rate": found.raw.as_json(),
        "win_rate_equal_length": found.equal_length.as_json(),
    }


def _outcome(gate: Gate) -> GateOutcome:
    if gate.result.get("judgements", 0) < gate.judgements:
        return GateOutcome.TOO_FEW
    if rival_of(gate.round) != gate.rival:
        return GateOutcome.OVERTAKEN
    lows = [gate.result[name]["low"] for name in ("win_rate", "win_rate_equal_length")]
    passed = all(low is not None and low > gate.bar for low in lows)
    return GateOutcome.PASSED if passed else GateOutcome.NOT_PASSED
