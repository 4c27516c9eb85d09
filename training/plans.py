"""What a round would do, as far as it can be told before: each stage's settings, and how much there is to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotation.models import Project
from training import choosing, gates, generation
from training.hyperparameters import InputError, settle
from training.models import GATED, Policy, RoundStage, Stage, road
from training.options import ACTIVE, Options

Settings = dict[Stage, dict[str, Any]]


def settings_of(project: Project, options: Options, *, base: Policy | None, counts: Mapping[str, int]) -> Settings:
    """The settings of each stage that a run does. One whose settings do not fit is left out: the form says why."""
    settled: Settings = {}
    for stage in road(options.stages, gate=options.publish == GATED):
        if stage in (RoundStage.FREEZE, RoundStage.PUBLISH):
            continue
        asked = {RoundStage.SAMPLE: generation.sampling(project), RoundStage.GATE: {"completions": 2}}.get(stage, {})
        values = {**asked, **options.hyperparameters.get(stage, {})}
        try:
            found = settle(stage, preset=options.preset, rows=counts, policy=base, values=values)
        except InputError:
            continue
        if stage == RoundStage.BEST_OF_N:
            found["completions"] = generation.best_of(project, n=found["completions"]).completions
        settled[Stage(stage)] = found
    return settled


def amount(stage: str, settings: Mapping[str, Any], *, counts: Mapping[str, int], prompts: int) -> float:
    """How much a run has to do, in what its time grows with: rows learnt from, episodes, or outputs."""
    match stage:
        case Stage.SFT | Stage.REWARD_MODEL | Stage.DPO:
            rows = counts.get("demonstrations" if stage == Stage.SFT else "rankings", 0)
            learnt = float(settings["epochs"] * rows)
            return min(learnt, settings["max_steps"] * settings["batch_size"]) if settings["max_steps"] else learnt
        case Stage.PPO:
            return float(settings["total_episodes"])
        case Stage.EVALUATE:
            return float(prompts * settings["completions"] + counts.get("rankings_held_out", 0))
        case Stage.SAMPLE | Stage.BEST_OF_N | Stage.GATE:
            return float(prompts * (settings["candidates"] or settings["completions"]))
    return 0.0


def prompts_of(stage: str, options: Options, *, counts: Mapping[str, int]) -> int:
    """How many prompts the stage would answer."""
    if stage == Stage.EVALUATE:
        speaks = RoundStage.PUBLISH in road(options.stages)
        return min(options.evaluation_prompts, counts.get("prompts_held_out", 0)) if speaks else 0
    if stage == Stage.GATE:
        return gates.pairs_wanted(options.gate_judgements)
    return options.prompts * (choosing.POOL if options.selection == ACTIVE else 1)
