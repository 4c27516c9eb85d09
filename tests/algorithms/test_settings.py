"""Hyperparameters: explained, checked before anything loads, and readable without torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from training.algorithms import optimisation
from training.algorithms.errors import InputError
from training.algorithms.hyperparameters import STAGES
from training.algorithms.knobs import Optimisation
from training.algorithms.presets import PRESETS, from_file, resolve


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_holds_together(stage: str, preset: str) -> None:
    assert isinstance(resolve(stage, preset=preset), STAGES[stage])


@pytest.mark.parametrize("kind", STAGES.values())
def test_every_hyperparameter_is_explained(kind: type) -> None:
    for each in dataclasses.fields(kind):
        assert each.metadata["help"].endswith("."), each.name


def test_the_defaults_are_the_papers() -> None:
    ppo, reward, sft = resolve("ppo"), resolve("reward_model"), resolve("sft")
    wanted = {"kl_coef": 0.02, "cliprange": 0.2, "ptx_coef": 27.8, "ema_decay": 0.992, "gamma": 1.0, "batch_size": 512}
    assert {name: getattr(ppo, name) for name in wanted} == wanted
    assert (reward.epochs, reward.batch_size, reward.learning_rate) == (1, 64, 9e-6)  # type: ignore[attr-defined]
    assert (sft.epochs, sft.adam_beta2) == (16, 0.95)  # type: ignore[attr-defined]


def test_text_from_a_command_line_becomes_what_is_meant() -> None:
    found = resolve(
        "ppo", preset="starter", values={"seed": "3", "whiten_rewards": "true", "kl_coef": "1e-1", "lam": "1"}
    )
    assert (found.seed, found.whiten_rewards, found.kl_coef, found.lam) == (3, True, 0.1, 1.0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("stage", "values", "said"),
    [
        ("sft", {"learning": 1}, "no hyperparameter"),
        ("sft", {"batch_size": "many"}, "a value like 32"),
        ("sft", {"batch_size": 1.5}, "a value like 32"),
        ("sft", {"learning_rate": "nan"}, "a value like"),
        ("sft", {"learning_rate": "inf"}, "a value like"),
        ("sft", {"group_by_length": "perhaps"}, "a value like True"),
        ("sft", {"batch_size": 0}, "at least 1"),
        ("sft", {"dropout": 0.95}, "at most 0.9"),
        ("sft", {"schedule": "steps"}, "one of cosine"),
        ("sft", {"epochs": 0}, "nothing would be trained"),
        ("sft", {"token_budget": 100, "max_length": 200}, "Raise token_budget"),
        ("pretrain", {"hidden_size": 100, "num_heads": 3}, "multiple of 2 × num_heads"),
        ("ppo", {"batch_size": 10, "minibatch_size": 4, "total_episodes": 20}, "multiple of minibatch_size"),
        ("ppo", {"total_episodes": 8}, "less than one iteration"),
        ("ppo", {"response_length": 2048}, "no room for a prompt"),
        ("ppo", {"dropout": 0.1}, "Set it to 0"),
        ("ppo", {"kl_coef": 0, "kl_target": 6}, "0 stays 0"),
        ("sft", {"lora_rank": 8, "lora_alpha": 0}, "do nothing"),
        ("sft", {"lora_rank": -1}, "at least 0"),
        ("sample", {"completions": 4, "candidates": 2}, "Raise candidates"),
        ("sample", {"max_new_tokens": 5000}, "no room for a prompt"),
    ],
)
def test_values_that_do_not_fit_are_refused(stage: str, values: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        resolve(stage, values=values)


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(InputError, match=r"nonsense.*batch_size"):
        resolve("sft", values={"nonsense": 1, "batch_size": -1})


def test_a_file_of_values_may_hold_remarks(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    path.write_text('{"seed": 4, "_why": "luck"}')
    assert from_file(path) == {"seed": 4}
    path.write_text("[]")
    with pytest.raises(InputError, match="holds a list"):
        from_file(path)
    with pytest.raises(InputError, match="no file"):
        from_file(tmp_path / "other.json")


def test_reading_the_hyperparameters_imports_no_torch() -> None:
    code = (
        "import sys, training.algorithms.hyperparameters, training.algorithms.__main__; print('torch' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert found.stdout == "False\n"


def test_the_learning_rate_warms_up_and_falls_to_a_tenth() -> None:
    settings = resolve("sft", values={"warmup_steps": 10})
    assert isinstance(settings, Optimisation)
    rates = [optimisation.learning_rate(i, peak=1.0, total_steps=110, settings=settings) for i in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[5] == pytest.approx(0.55)
    assert rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)
