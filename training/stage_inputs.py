"""What the run of each stage of a round works on: the models made before it, the dataset, prompts, settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from training import choosing, datasets, gates, generation
from training.hyperparameters import settle
from training.models import Policy, RewardModel, Round, Stage
from training.options import ACTIVE


def of(round: Round, stage: Stage) -> dict[str, Any] | None:
    """What `runs.create` takes; None where there is nothing for the stage to do."""
    learner = Policy.objects.filter(run__round=round, run__stage=Stage.SFT).first() or round.base
    values = {"seed": round.options["seed"], **chosen(round, stage)}
    match stage:
        case Stage.SFT:
            return {"dataset": round.dataset, "base": round.base, "values": values}
        case Stage.REWARD_MODEL | Stage.DPO:
            return {"dataset": round.dataset, "base": learner, "values": values}
        case Stage.PPO:
            models = {"base": learner, "reference": learner, "judge": judge_of(round)}
            return {"dataset": round.dataset, **models, "values": values}
        case Stage.EVALUATE:
            return _evaluation(round, values)
        case Stage.GATE:
            return gates.request(round) | {"values": {**of_output(round), **gates.sampling(round)}}
        case Stage.SAMPLE:
            return _sampling(round)
        case Stage.BEST_OF_N:
            return _best_of_n(round)
    raise ValueError(f"A round has no run of the stage {stage}.")


def judge_of(round: Round) -> RewardModel | None:
    """The reward model that the round trained, else the one that was chosen for it."""
    made = RewardModel.objects.filter(run__round=round).first()
    return made or RewardModel.objects.filter(project=round.project, id=round.options.get("reward_model")).first()


def chosen(round: Round, stage: Stage) -> dict[str, Any]:
    """The values that somebody chose for the stage."""
    return dict(round.options["hyperparameters"].get(stage, {}))


def of_output(round: Round) -> dict[str, Any]:
    """Of the values chosen for the queue's outputs, those that say what an output is like."""
    named = ("temperature", "top_k", "top_p", "max_new_tokens", "max_length")
    return {name: value for name, value in chosen(round, Stage.SAMPLE).items() if name in named}


def _evaluation(round: Round, values: dict[str, Any]) -> dict[str, Any] | None:
    """The policy against the one it was trained from, and the reward model: whichever the round has."""
    speaker, judge = round.speaker, judge_of(round)
    prompts: Sequence[Any] = []
    if speaker is not None:
        prompts = datasets.sample_rows(round.dataset, "prompts_held_out", count=round.options["evaluation_prompts"])
    if not prompts and not (judge and round.dataset and round.dataset.counts.get("rankings_held_out")):
        return None
    return {
        "dataset": round.dataset,
        "base": speaker,
        "reference": speaker.parent if speaker else None,
        "judge": judge,
        "inputs": {"prompts": prompts},
        "values": values,
    }


def _sampling(round: Round) -> dict[str, Any]:
    """Outputs for the queue, beside those of the policy that people rank now."""
    speaker = _speaker(round)
    values = generation.sampling(round.project) | {"seed": _sampling_seed(round)} | chosen(round, Stage.SAMPLE)
    return {
        "base": speaker,
        "reference": Policy.objects.exclude(id=speaker.pk).current(round.project) or speaker.parent,
        "judge": judge_of(round),
        "inputs": {"prompts": _prompts(round), **_choice(round)},
        "values": values,
    }


def _best_of_n(round: Round) -> dict[str, Any]:
    """Outputs for the queue: the best of n beside plain ones of the same policy."""
    speaker = _speaker(round)
    values = {"seed": _sampling_seed(round)} | chosen(round, Stage.BEST_OF_N)
    settled = settle(Stage.BEST_OF_N, preset=round.options["preset"], rows={}, policy=speaker, values=values)
    plan = generation.best_of(round.project, n=settled["completions"])
    return {
        "base": speaker,
        "judge": judge_of(round),
        "inputs": {"prompts": _prompts(round), "best_of": asdict(plan), **_choice(round)},
        "values": values | {"completions": plan.completions},
    }


def _speaker(round: Round) -> Policy:
    assert round.speaker is not None  # noqa: S101 - a round without one has no stage that samples
    return round.speaker


def _sampling_seed(round: Round) -> int:
    return int(round.options["seed"] + round.number)


def _prompts(round: Round) -> Sequence[Any]:
    pool = choosing.POOL if _chooses(round) else 1
    count = round.options["prompts"]
    return generation.choose_prompts(round.project, count=count, seed=_sampling_seed(round), pool=pool)


def _choice(round: Round) -> dict[str, Any]:
    """How the sets that people get are chosen among those that are sampled; nothing where they get all of them."""
    if not _chooses(round):
        return {}
    asked = {"count": round.options["prompts"], "random_share": round.options["random_share"]}
    return {"choice": {**asked, "seed": _sampling_seed(round)}}


def _chooses(round: Round) -> bool:
    return bool(round.options.get("selection") == ACTIVE)
