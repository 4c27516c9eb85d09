"""What saves memory changes no gradient: a batch run in parts, layers run again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.algorithms import tiny
from tests.algorithms.test_learning import settings, trainer
from training.algorithms import language_model, reward_model, sampling
from training.algorithms.data import Row
from training.algorithms.networks import Network, load_policy, new_reward_model
from training.algorithms.presets import resolve
from training.algorithms.rankings import Ranking
from training.algorithms.run_folder import Run

ROWS = [Row([9] * n, [8, 7] * n) for n in (1, 5, 3, 7, 2)]
RANKINGS = [Ranking([Row([9] * n, [k, 7, 1]) for k in (20, 21, 22)], [1, 2, 3]) for n in (1, 8, 4, 2)]

Backward = Callable[[Any, Any], Any]
LEARNING: dict[str, tuple[Callable[[str], Network], Backward]] = {
    "sft": (load_policy, lambda model, chosen: language_model.backward(model, ROWS, settings=chosen)),
    "reward_model": (
        lambda base: new_reward_model(base, seed=0),
        lambda model, chosen: reward_model.backward(model, RANKINGS, settings=chosen),
    ),
}


def gradients(stage: str, base: str, **values: Any) -> dict[str, torch.Tensor]:
    opened, backward = LEARNING[stage]
    model, chosen = opened(base), resolve(stage, preset="test", values=values)
    model.ready(chosen)  # type: ignore[arg-type]
    torch.manual_seed(0)
    backward(model, chosen)
    return {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


@pytest.mark.parametrize("stage", LEARNING)
def test_parts_and_layers_run_again_give_the_same_gradients(stage: str, base: str) -> None:
    whole = gradients(stage, base)
    assert max(float(each.abs().max()) for each in whole.values()) > 1e-3
    assert same(whole, gradients(stage, base, token_budget=36, max_length=36))
    assert same(whole, gradients(stage, base, gradient_checkpointing=True))


@pytest.mark.parametrize("family", ["gpt2", "t5"])  # a Llama has no dropout
@pytest.mark.parametrize("stage", LEARNING)
def test_layers_run_again_with_the_dropout_they_had(stage: str, family: str, folders: dict[str, Path]) -> None:
    base = str(folders[family])
    dropped = gradients(stage, base, dropout=0.3)
    assert not same(dropped, gradients(stage, base))
    assert same(dropped, gradients(stage, base, dropout=0.3, gradient_checkpointing=True))


def test_ppos_gradients_do_not_depend_on_the_parts(base: str, tmp_path: Path) -> None:
    found = []
    for budget in (2048, 128):
        made = trainer("", base, settings(token_budget=budget, num_ppo_epochs=1, minibatch_size=8))
        episodes, _ = made.collect(0, run=Run(tmp_path))
        made._backward(episodes, list(range(8)))
        learnt = {f"{name}/{key}": each for name in ("policy", "value")
                  for key, each in getattr(made, name).named_parameters()}  # fmt: skip
        found.append({name: each.grad.clone() for name, each in learnt.items() if each.grad is not None})
    assert same(*found)


def test_layers_run_again_only_where_gradients_are_wanted(base: str) -> None:
    """Twice in training, once in sampling, which keeps its cache: the same tokens as without."""
    drawn = []
    for checkpointing in (False, True):
        policy = load_policy(base)
        chosen = resolve("sft", preset="test", values={"gradient_checkpointing": checkpointing})
        policy.ready(chosen)  # type: ignore[arg-type]
        inner = next(module for module in policy.modules() if "Norm" in type(module).__name__)
        runs: list[int] = []
        inner.register_forward_hook(lambda *_, runs=runs: runs.append(1))
        language_model.backward(policy, ROWS, settings=chosen)
        assert len(runs) == 1 + checkpointing
        prompts = [policy.encoder.prompt(each) for each in tiny.sentences(4)]
        drawn.append(
            sampling.sample(
                policy, prompts, seeds=[[i] for i in range(4)], settings=sampling.Settings(max_new_tokens=8)
            )
        )
    assert drawn[0] == drawn[1]
