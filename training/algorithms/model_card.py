"""Saving what a run made: an ordinary Hugging Face folder with a README that says where it came from."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from typing import Any

from training.algorithms import adapters, sharding
from training.algorithms.checkpoints import plain_disk_errors
from training.algorithms.knobs import Computing
from training.algorithms.networks import Policy, Scorer
from training.algorithms.run_folder import Run

WHAT = {
    "pretrain": "A language model trained on raw text.",
    "sft": "A policy fine-tuned on human demonstrations (step 1 of InstructGPT).",
    "reward_model": "A reward model trained on human rankings (step 2 of InstructGPT).",
    "ppo": "A policy trained by PPO against a reward model (step 3 of InstructGPT).",
    "dpo": "A policy trained on human rankings directly (DPO).",
}

ADAPTED = (
    "Trained with LoRA: the adapter is added to these weights, and lies in `adapter/` by itself as peft reads it; "
    "`adapter/adapter_config.json` names the base that it stands on."
)


def save(
    model: Policy | Scorer,
    run: Run,
    *,
    stage: str,
    settings: Computing,
    figures: Mapping[str, float],
    parents: Mapping[str, str | None],
    notes: str = "",
) -> None:
    """Write run.model anew, whole or not at all. The first process does; all have to call."""
    run.begin("saving")
    beside = run.model.with_name(".model")
    with sharding.whole(model) as gathered:
        if not run.writes:
            return
        shutil.rmtree(beside, ignore_errors=True)
        with plain_disk_errors(beside):
            gathered.save(beside)
    if adapters.is_on(model):
        notes = f"{notes} {ADAPTED}".strip()
    (beside / "README.md").write_text(_card(stage, settings, figures, parents, notes), encoding="utf-8")
    shutil.rmtree(run.model, ignore_errors=True)
    beside.rename(run.model)
    run.end("saving")


def _card(
    stage: str, settings: Computing, figures: Mapping[str, Any], parents: Mapping[str, str | None], notes: str
) -> str:
    made_from = [f"- {name}: `{parent}`" for name, parent in parents.items() if parent] or ["- nothing: fresh weights"]
    measured = [f"| {name} | {value:.6g} |" for name, value in figures.items()]
    chosen = [f"| {name} | {value} |" for name, value in dataclasses.asdict(settings).items()]
    lines = [
        "---", "library_name: transformers", f"tags: [plumbline, {stage}]", "---", "",
        f"# {WHAT[stage]}", "", *([notes, ""] if notes else []),
        "## Made from", "", *made_from, "",
        "## Measured at the end of training", "", "| figure | value |", "|---|---|", *measured, "",
        "## Hyperparameters", "", "| name | value |", "|---|---|", *chosen, "",
    ]  # fmt: skip
    return "\n".join(lines)
