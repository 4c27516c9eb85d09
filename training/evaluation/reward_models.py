"""A reward model beside people: it scores outputs that people ranked and no training sees, in a run of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.audit import record
from annotation.models import Ranking, User
from training import runs
from training.auditing import Action
from training.evaluation import EvaluationRefused, bias, rows
from training.evaluation.intervals import Interval, bootstrap, ratio
from training.models import Dataset, RewardModel, Stage, TrainingRun

RANKED = "rankings_held_out"
RANKINGS = 500
FURTHEST = 5  # ranks apart, beyond which pairs are told together


@dataclass(frozen=True)
class Judged:
    """One ranking: of each output its text, its rank by a person, the model's score, its place as shown if known."""

    prompt: int
    texts: Sequence[str]
    ranks: Sequence[int]
    rewards: Sequence[float]
    places: Sequence[int] | None = None


def start(model: RewardModel, *, user: User | None, dataset: Dataset, rankings: int = RANKINGS) -> TrainingRun:
    """The run that scores."""
    if dataset.project_id != model.project_id:
        raise EvaluationRefused(_("{other} is of another project.").format(other=dataset))
    chosen = rows.chosen(rows.of_dataset(dataset, RANKED), count=rankings)
    if not chosen:
        raise EvaluationRefused(
            _("Dataset {number} holds no rankings of prompts that are held out, which is what a reward model is "
              "measured against. Collect more rankings, then freeze another dataset.").format(number=dataset.pk)
        )  # fmt: skip
    asked = [
        {
            "id": row["prompt_id"],
            "ranking": row["id"],
            "prompt": row["prompt"],
            "completions": [{"text": each["text"]} for each in row["completions"]],
        }
        for row in chosen
    ]
    with transaction.atomic():
        record(Action.EVALUATED, actor=user, project=model.project, model=model.pk, dataset=dataset.pk)
        return runs.create(
            model.project, stage=Stage.SCORE, user=user, dataset=dataset, judge=model, base=model.parent,
            inputs={"evaluation": True, "completions": asked},
        )  # fmt: skip


def figures(run: TrainingRun) -> dict[str, Any]:
    """How often it agrees with people, over all and by group and distance of ranks; and what both owe to form."""
    assert run.dataset is not None  # noqa: S101 - `start` gave it one
    known = {row["id"]: row for row in rows.of_dataset(run.dataset, RANKED)}
    kinds = rows.kinds(run.dataset)
    scored = [row for row in rows.read(run.folder / "scores.jsonl") if row["ranking"] in known]
    places = _places([row["ranking"] for row in scored])
    judged = []
    for row in scored:
        ranking = known[row["ranking"]]
        facts = {"use_case": ranking["use_case"], "language": ranking["language"]}
        if row["id"] in kinds:
            facts["kind"] = kinds[row["id"]]
        judged.append((facts, _judged(row, ranking, places.get(row["ranking"]))))
    every = [each for _facts, each in judged]
    found = rows.measured(judged, measure)
    found["groups"]["gap"] = by_gap(every)
    outputs = sum(len(each.texts) for each in every)
    return {"prompts": len({each.prompt for each in every}), "outputs": outputs, **found, "bias": bias.compare(every)}


def measure(judged: Sequence[Judged]) -> dict[str, Interval]:
    """Shares of pairs of unequal rank that the model, and whoever likes the longer one, order as people do."""
    found = {}
    for name, right in (("accuracy", _model_right), ("longer_wins", _longer_right)):
        if statistics := _over_prompts(judged, right):
            found[name] = bootstrap(statistics, ratio)
    if agreement := _agreement(judged):
        found["agreement"] = bootstrap(agreement, ratio)
    return found


def by_gap(judged: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """The model's accuracy on pairs so many ranks apart; the last takes all beyond."""
    found = {}
    for gap in range(1, FURTHEST + 1):
        if statistics := _over_prompts(judged, _model_right, gap=gap):
            found[str(gap)] = {"accuracy": bootstrap(statistics, ratio).as_json()}
    return found


def pairs(judged: Judged) -> list[tuple[int, int, int]]:
    """The pairs of unequal rank as numbers of outputs, the better first, and how many ranks lie between them."""
    dense = sorted(set(judged.ranks))
    ranks = [dense.index(rank) for rank in judged.ranks]
    found = []
    for i, j in combinations(range(len(ranks)), 2):
        if ranks[i] != ranks[j]:
            better, worse = (i, j) if ranks[i] < ranks[j] else (j, i)
            found.append((better, worse, ranks[worse] - ranks[better]))
    return found


def half_if_equal(difference: float) -> float:
    return 0.5 if difference == 0 else float(difference > 0)


def _model_right(judged: Judged, better: int, worse: int) -> float:
    return half_if_equal(judged.rewards[better] - judged.rewards[worse])


def _longer_right(judged: Judged, better: int, worse: int) -> float:
    return half_if_equal(len(judged.texts[better]) - len(judged.texts[worse]))


def _over_prompts(judged: Sequence[Judged], right: Any, *, gap: int | None = None) -> list[tuple[float, float]]:
    """Of each prompt that has pairs (of this distance): how many are right, and how many there are."""
    by_prompt: dict[int, list[float]] = defaultdict(list)
    for each in judged:
        for better, worse, apart in pairs(each):
            if gap is None or min(apart, FURTHEST) == gap:
                by_prompt[each.prompt].append(right(each, better, worse))
    return [(sum(found), float(len(found))) for found in by_prompt.values()]


def _agreement(judged: Sequence[Judged]) -> list[tuple[float, float]]:
    """Of each prompt whose outputs two people ranked: pairs that neither ties and both order alike, and all of them."""
    same: dict[Any, list[Judged]] = defaultdict(list)
    for each in judged:
        same[each.prompt, tuple(each.texts)].append(each)
    by_prompt: dict[int, list[float]] = defaultdict(list)
    for (prompt, _texts), rankings in same.items():
        for one, other in combinations(rankings, 2):
            for i, j in combinations(range(len(one.ranks)), 2):
                product = (one.ranks[i] - one.ranks[j]) * (other.ranks[i] - other.ranks[j])
                if product:
                    by_prompt[prompt].append(float(product > 0))
    return [(sum(found), float(len(found))) for found in by_prompt.values()]


def _judged(scored: Mapping[str, Any], ranking: Mapping[str, Any], places: list[int] | None) -> Judged:
    outputs = ranking["completions"]
    return Judged(
        prompt=scored["id"],
        texts=[each["text"] for each in outputs],
        ranks=[each["rank"] for each in outputs],
        rewards=[each["reward"] for each in scored["completions"]],
        places=places if places is not None and len(places) == len(outputs) else None,
    )


def _places(rankings: Sequence[int]) -> dict[int, list[int]]:
    """Where each output stood on the annotator's page, in the order of the dataset's rows: that of their ids."""
    found = Ranking.objects.filter(pk__in=rankings).values_list("pk", "shown")
    return {pk: [shown.index(completion) for completion in sorted(shown)] for pk, shown in found}
