"""The settings a run gets: a preset of training.algorithms, scaled to data and model, with a person's values on top."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import STAGES
from training.algorithms.presets import PRESETS, checked, resolve
from training.models import Policy
from training.models.runs import CARRIED_OUT_BY

AUTO = "auto"
SMALL_MODEL_BYTES = 64 * 1024 * 1024
EPISODES_A_PROMPT = 8  # InstructGPT: 256,000 episodes of 31,000 prompts
ITERATIONS_AT_LEAST = 20
AVERAGES_TO_FORGET = 10  # how often the moving average must have run over its memory before it is the better model

Rows = Mapping[str, int]
Values = dict[str, Any]

__all__ = ["AUTO", "PRESETS", "InputError", "checked", "chosen_preset", "settle"]


def settle(
    stage: str, *, preset: str, rows: Rows, policy: Policy | None = None, values: Mapping[str, Any] | None = None
) -> Values:
    """All settings of a stage, checked; `rows` counts a dataset's files. InputError names every problem at once."""
    stage = CARRIED_OUT_BY.get(stage, stage)
    scaled: Values = {}
    if chosen_preset(preset, policy) == "paper":
        scaled = _fitted(stage, rows, positions=_positions(policy)) if stage in STAGES else {}
    return dataclasses.asdict(resolve(stage, preset=chosen_preset(preset, policy), values={**scaled, **(values or {})}))


def chosen_preset(preset: str, policy: Policy | None) -> str:
    """What "auto" means: the starter's own settings for a model of its size, the paper's for any other."""
    if preset != AUTO:
        return preset
    if policy is None or not policy.path:
        return "paper"
    return (
        "starter"
        if sum(path.stat().st_size for path in policy.folder.glob("*.safetensors")) < SMALL_MODEL_BYTES
        else "paper"
    )


def _fitted(stage: str, rows: Rows, *, positions: int) -> Values:
    """The paper's settings, made for 13,000 demonstrations, 33,000 rankings and 31,000 prompts, for less data."""
    fitted: Values = {"max_length": min(2048, positions)}
    match stage:
        case "sft":
            fitted["batch_size"] = _clamp(rows.get("demonstrations", 0) // 16, 1, 32)
        case "reward_model":
            fitted["batch_size"] = _clamp(rows.get("rankings", 0) // 16, 1, 64)
        case "ppo":
            fitted |= _fitted_ppo(rows.get("prompts", 0)) | {"response_length": min(1024, fitted["max_length"] // 2)}
        case "sample" | "evaluate":
            fitted["max_new_tokens"] = min(256, fitted["max_length"] // 2)
    return fitted


def _fitted_ppo(prompts: int) -> Values:
    batch = _clamp(_power_of_two(prompts), 8, 512)
    minibatch = batch // 8
    iterations = max(ITERATIONS_AT_LEAST, EPISODES_A_PROMPT * prompts // batch)
    episodes = min(256_000, iterations * batch)
    updates = episodes // minibatch
    return {
        "batch_size": batch,
        "minibatch_size": minibatch,
        "ptx_batch_size": min(512, 8 * minibatch),
        "total_episodes": episodes,
        "warmup_steps": min(80, updates // 10),
        "ema_decay": 0.992 if updates * (1 - 0.992) >= AVERAGES_TO_FORGET else 0.0,
    }


def _positions(policy: Policy | None) -> int:
    """The longest sequence the model is meant for, by its config; the paper's 2048 where that does not say."""
    try:
        config = json.loads((policy.folder / "config.json").read_text()) if policy is not None and policy.path else {}
    except (OSError, ValueError):  # the run that opens the model says what is wrong with it
        config = {}
    return int(config.get("max_position_embeddings") or config.get("n_positions") or 2048)


def _power_of_two(number: int) -> int:
    return 1 << max(number, 1).bit_length() - 1


def _clamp(number: int, low: int, high: int) -> int:
    return max(low, min(high, number))
