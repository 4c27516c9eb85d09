"""The figures of one round: what people agree on, what the reward model learnt, and what the policies are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from annotation.collection import NewCompletion, RankingSet, add_completions, add_ranking_items
from annotation.models import Completion, Prompt, Ranking
from annotation.quality import pairwise_agreement
from training import formats
from training.models import Policy, Round, Stage, TrainingRun
from training.rounds import worked
from training.simulation import measure
from training.simulation.measure import Golds, Texts
from training.simulation.statistics import Interval, mean_over_prompts, paired_gain
from training.simulation.study import Study
from training.starter.answers import without_stock_faults

FIRST = 100  # above what waits, so that a comparison is judged at once


@dataclass(frozen=True)
class RoundModels:
    """What a round made, and the outputs by which it is measured."""

    round: Round
    sft: Policy
    ppo: Policy

    @classmethod
    def of(cls, round: Round) -> RoundModels:
        made = Policy.objects.filter(run__round=round)
        return cls(round, sft=made.get(run__stage=Stage.SFT), ppo=made.get(run__stage=Stage.PPO))


def of_round(study: Study, round: Round, *, last_ranking: Ranking) -> dict[str, Any]:
    """The report's entry for a round that has ended. Asks the annotators for a blind comparison on the way."""
    models = RoundModels.of(round)
    prompts = measure.held_out_prompts(study.project, count=study.plan.held_out_prompts)
    with study.stage("measuring"):
        texts = _at_temperature_1(study, models, prompts)
        golds = {name: measure.golds(written) for name, written in texts.items()}
        others = _other_roads(study, models, prompts)
        reward = _reward_figures(study, models)
    with study.stage("blind comparison"):
        wins = _win_rate(study, models, prompts, texts)
    seed = study.plan.seed
    return {
        "round": round.number,
        "rankings": Ranking.objects.filter(prompt__project=study.project, pk__lte=last_ranking.pk).count(),
        "annotator_agreement": _agreement(study, last_ranking),
        **reward,
        "gold": {name: mean_over_prompts(values, seed=seed).as_json() for name, values in golds.items()},
        "gold_gain": {
            "sft_over_base": paired_gain(golds["base"], golds["sft"], seed=seed).as_json(),
            "ppo_over_sft": paired_gain(golds["sft"], golds["ppo"], seed=seed).as_json(),
        },
        "gold_by_prompt": {
            name: [round_(fmean(values[key])) for key in sorted(values)] for name, values in golds.items()
        },
        "gold_without_stock_faults": {
            name: mean_over_prompts(_cleaned(written), seed=seed).as_json() for name, written in texts.items()
        },
        "gold_of_other_roads": {
            name: mean_over_prompts(values, seed=seed).as_json() for name, values in others.items()
        },
        "win_rate_ppo_over_sft": wins.as_json(),
        "kl": round.figures.get("kl"),
        "mean_length": {name: round_(measure.mean_characters(written)) for name, written in texts.items()},
        "samples": [
            {"prompt": row["prompt"], **{name: written[str(row["prompt"])][0] for name, written in texts.items()}}
            for row in prompts[:12]
        ],
        "overhead_seconds": round_(overhead(models, last_ranking)),
    }


def overhead(models: RoundModels, last_ranking: Ranking) -> float:
    """Seconds from the last ranking to the first output of the new policy in which nothing trained or generated."""
    first = Completion.objects.filter(generator=models.ppo.generator).order_by("pk")[0]
    total = (first.created_at - last_ranking.created_at).total_seconds()
    return total - sum(worked(run) for run in TrainingRun.objects.filter(round=models.round))


def round_(value: float) -> float:
    return round(value, 4)


def _at_temperature_1(study: Study, models: RoundModels, prompts: Sequence[formats.PromptRow]) -> dict[str, Texts]:
    policies = {"base": study.base, "sft": models.sft, "ppo": models.ppo}
    count, seed = study.plan.completions, study.plan.seed
    return {name: measure.sample(policy, prompts, completions=count, seed=seed) for name, policy in policies.items()}


def _other_roads(study: Study, models: RoundModels, prompts: Sequence[formats.PromptRow]) -> dict[str, Golds]:
    """What a sharper SFT policy, or picking the best of many by the reward model, is worth beside PPO."""
    seed, found = study.plan.seed, dict[str, Golds]()
    for temperature in study.plan.temperatures:
        drawn = measure.sample(models.sft, prompts, completions=1, seed=seed, temperature=temperature)
        found[f"sft_at_{temperature}"] = measure.golds(drawn)
    best = max(study.plan.temperatures, key=lambda t: fmean(map(fmean, found[f"sft_at_{t}"].values())))
    drawn = measure.sample(models.ppo, prompts, completions=1, seed=seed, temperature=best)
    found[f"ppo_at_{best}"] = measure.golds(drawn)
    drawn = measure.sample(
        models.sft, prompts, completions=study.plan.best_of, seed=seed, best_by=models.round.reward_model
    )
    found[f"sft_best_of_{study.plan.best_of}"] = measure.golds(drawn)
    return found


def _reward_figures(study: Study, models: RoundModels) -> dict[str, Any]:
    reward_model = models.round.reward_model
    run = models.round.runs.get(stage=Stage.REWARD_MODEL)
    assert reward_model is not None  # noqa: S101 - a published round has one
    found = measure.reward_accuracy(reward_model, run, seed=study.plan.seed)
    return {name: round_(value) if isinstance(value, float) else value for name, value in found.items()}


def _win_rate(
    study: Study, models: RoundModels, prompts: Sequence[formats.PromptRow], texts: Mapping[str, Texts]
) -> Interval:
    """Whose first output the annotators prefer, through the ordinary queue; a tie, or the same text, is half a win."""
    pairs = {row["id"]: (texts["sft"][str(row["prompt"])][0], texts["ppo"][str(row["prompt"])][0]) for row in prompts}
    won = {str(prompt): [0.5] for prompt, pair in pairs.items() if not can_be_compared(*pair)}
    asked = {prompt: pair for prompt, pair in pairs.items() if str(prompt) not in won}
    added = [
        add_completions(policy.generator, [NewCompletion(prompt, pair[side], {}) for prompt, pair in asked.items()])
        for side, policy in enumerate((models.sft, models.ppo))
    ]
    found = Prompt.objects.in_bulk(asked)
    sets = [RankingSet(found[a.prompt_id], [a.pk, b.pk]) for a, b in zip(*added, strict=True)]
    items = add_ranking_items(study.project, sets, priority=FIRST, overlap=1)
    judged = Ranking.objects.filter(assignment__item__in=items)
    # Several people taking work at once may be given a piece of lower priority near the end: until all is judged.
    while (missing := len(items) - judged.count()) and study.judge(missing):
        pass
    of_ppo = {completion.pk for completion in added[1]}
    for ranking in judged:
        best = ranking.groups[0]
        won[str(ranking.prompt_id)] = [0.5 if len(best) == 2 else float(best[0] in of_ppo)]
    if len(won) < len(pairs):
        raise measure.StudyFailed(f"Of {len(pairs)} comparisons {len(won)} were judged.")
    return mean_over_prompts(won, seed=study.plan.seed)


def can_be_compared(one: str, other: str) -> bool:
    """Whether the queue shows both: no output is empty, and of two that differ in the white space around them one."""
    return bool(one.strip() and other.strip()) and one.strip() != other.strip()


def _agreement(study: Study, last_ranking: Ranking) -> float | None:
    rankings = Ranking.objects.filter(prompt__project=study.project, pk__lte=last_ranking.pk)
    found = pairwise_agreement(rankings)
    return None if found.pairs == 0 else round_(found.value)


def _cleaned(texts: Texts) -> Golds:
    return measure.golds(
        {prompt: [without_stock_faults(text) for text in written] for prompt, written in texts.items()}
    )
