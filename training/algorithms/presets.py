"""A stage's settings: a preset's, with values on top, all checked at once. Torch-free, as the hyperparameters are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import STAGES
from training.algorithms.knobs import Computing

PRESETS = ("paper", "starter", "test")

SHORT = {"max_length": 256, "token_budget": 8192}
TINY = {"max_length": 128, "token_budget": 2048, "precision": "fp32"}
TRAINING = {"checkpoint_seconds": 0.0, "dropout": 0.0}

OVERRIDES: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {stage: {} for stage in STAGES},
    # Found by trial on a model of two million weights, two CPU cores and a few dozen demonstrations.
    "starter": {
        "pretrain": SHORT | {
            "learning_rate": 1.5e-3, "batch_size": 12, "max_steps": 4300, "epochs": 100.0, "log_every": 20,
            "num_layers": 3, "initializer_range": 0.06,
        },
        "sft": SHORT | {"dropout": 0.0, "learning_rate": 5e-4, "batch_size": 8, "epochs": 2.0},
        "reward_model": SHORT | {
            "learning_rate": 1e-3, "weight_decay": 0.3, "batch_size": 16, "epochs": 2.0, "calibrate": True,
        },
        "ppo": SHORT | {
            "learning_rate": 3e-4, "value_learning_rate": 3e-4, "warmup_steps": 10, "total_episodes": 3072,
            "batch_size": 64, "minibatch_size": 64, "num_ppo_epochs": 2, "response_length": 64, "kl_coef": 0.3,
            # No pretraining gradients: the starter's texts are faultless answers, and teach what rankings should.
            "missing_eos_penalty": 1.0, "ptx_coef": 0.0, "ema_decay": 0.0,
        },
        "dpo": SHORT | {"learning_rate": 3e-4, "warmup_steps": 10, "batch_size": 16, "epochs": 1.0},
        "sample": SHORT | {"max_new_tokens": 64},
        "best_of_n": SHORT | {"max_new_tokens": 64},
        "score": SHORT,
        "evaluate": SHORT | {"max_new_tokens": 64},
    },
    # Seconds on a model of a few thousand weights: shows that the parts fit together, not that anything is learnt.
    "test": {
        "pretrain": TINY | TRAINING | {
            "learning_rate": 3e-3, "warmup_steps": 2, "max_steps": 4, "batch_size": 4, "vocab_size": 320,
            "hidden_size": 32, "num_layers": 2, "num_heads": 2, "intermediate_size": 48, "max_position_embeddings": 128,
        },
        "sft": TINY | TRAINING | {"learning_rate": 3e-3, "batch_size": 4, "epochs": 2.0, "dropout": 0.0},
        "reward_model": TINY | TRAINING | {"learning_rate": 3e-3, "batch_size": 4},
        "ppo": TINY | TRAINING | {
            "learning_rate": 1e-3, "value_learning_rate": 3e-3, "warmup_steps": 0, "total_episodes": 24,
            "batch_size": 8, "minibatch_size": 4, "num_ppo_epochs": 2, "response_length": 8,
            "ptx_coef": 0.5, "ptx_batch_size": 4, "fixed_samples": 2, "fixed_samples_every": 2,
        },
        "dpo": TINY | TRAINING | {"learning_rate": 1e-3, "warmup_steps": 0, "batch_size": 4},
        "sample": TINY | {"max_new_tokens": 8},
        "best_of_n": TINY | {"max_new_tokens": 8, "completions": 4},
        "score": TINY,
        "evaluate": TINY | {"max_new_tokens": 8},
    },
}  # fmt: skip


def resolve(stage: str, *, preset: str = "paper", values: Mapping[str, Any] | None = None) -> Computing:
    """The stage's hyperparameters: the preset's, with `values` (numbers, or text as a command line has it) on top.

    Raises InputError naming every unknown name, wrong type, value out of bounds and joint problem at once.
    """
    settled, problems = checked(stage, values or {})
    if problems:
        raise InputError(" ".join(problems))
    chosen = STAGES[stage](**{**OVERRIDES[preset][stage], **settled})
    if joint := chosen.problems():
        raise InputError(" ".join(joint))
    return chosen


def checked(stage: str, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values as the stage has them, and what is wrong with each by itself; their fit together is `resolve`'s."""
    fields = {f.name: f for f in dataclasses.fields(STAGES[stage])}
    problems, settled = list[str](), dict[str, Any]()
    for name, value in values.items():
        if name not in fields:
            problems.append(f"{name} is no hyperparameter of {stage}; these are: {', '.join(sorted(fields))}.")
            continue
        try:
            settled[name] = _typed(value, like=fields[name].default)
        except ValueError:
            problems.append(f"{name} is {value!r}; a value like {fields[name].default!r} is expected.")
    for name, value in settled.items():
        problems += _out_of_bounds(name, value, fields[name].metadata)
    return settled, problems


def from_file(path: Path) -> dict[str, Any]:
    """The object in a JSON file of hyperparameters; keys that start with an underscore are ignored."""
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}. Give --hyperparameters a JSON file.") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}). Give an object of names and values.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds a {type(values).__name__}. Give an object of names and values.")
    return {name: value for name, value in values.items() if not name.startswith("_")}


def _typed(value: Any, *, like: Any) -> Any:
    """`value` as the type of `like`; raises ValueError where that would lose something."""
    if isinstance(like, bool):
        if isinstance(value, bool):
            return value
        if str(value).lower() not in ("true", "false", "1", "0"):
            raise ValueError(value)
        return str(value).lower() in ("true", "1")
    if isinstance(like, str):
        return str(value)
    if isinstance(value, bool) or value is None:
        raise ValueError(value)
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(value)
    if isinstance(like, float):
        return number
    if number != int(number):
        raise ValueError(value)
    return int(number)


def _out_of_bounds(name: str, value: Any, metadata: Mapping[str, Any]) -> list[str]:
    low, high, choices = metadata["low"], metadata["high"], metadata["choices"]
    if choices and value not in choices:
        return [f"{name} is {value!r}; one of {', '.join(choices)} is expected."]
    if low is not None and value < low:
        return [f"{name} is {value}; at least {low} is expected."]
    if high is not None and value > high:
        return [f"{name} is {value}; at most {high} is expected."]
    return []
