"""The alarm rings where the reward rises and the answers do not get better, and is silent where they do."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.algorithms import tiny
from tests.algorithms.conftest import Stage, lines
from training.algorithms import ppo
from training.algorithms.data import Batch
from training.algorithms.hyperparameters import PPO
from training.algorithms.networks import Policy, load_policy, new_reward_model
from training.algorithms.over_optimisation import alarm, best_of, best_of_kl
from training.algorithms.presets import resolve
from training.algorithms.run_folder import Run
from training.algorithms.shared_prompts import Groups

Rule = Callable[[Batch], torch.Tensor]


def noisy(means: list[float], *, noise: float, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [mean + chance.gauss(0, noise) for mean in means]


def line(start: float, end: float, count: int = 48) -> list[float]:
    return [start + (end - start) * i / (count - 1) for i in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_a_judge_that_falls_while_the_reward_rises_rings(seed: int) -> None:
    rewards, lengths = noisy(line(-1, 1), noise=0.2, seed=seed), noisy([12.0] * 48, noise=0.8, seed=seed + 100)
    judged = noisy([*line(0, 0.4, 16), *line(0.4, -0.8, 32)], noise=0.2, seed=seed + 200)
    assert "independent reward model" in alarm(rewards, lengths, judged)
    assert alarm(rewards[:16], lengths[:16], judged[:16]) == ""


@pytest.mark.parametrize("seed", range(20))
def test_a_judge_that_rises_too_is_silent(seed: int) -> None:
    rewards, judged = (noisy(line(-1, 1), noise=0.2, seed=seed + more) for more in (0, 100))
    lengths = noisy(line(12, 14), noise=0.8, seed=seed + 200)
    assert all(alarm(rewards[:n], lengths[:n], judged[:n]) == "" for n in range(1, 49))


def test_a_judge_that_falls_with_the_reward_is_no_over_optimisation() -> None:
    falling = noisy(line(1, -1), noise=0.1, seed=1)
    assert alarm(falling, [12.0] * 48, falling) == ""


@pytest.mark.parametrize("lengths", [line(10, 40), line(40, 10)])
def test_a_length_that_runs_away_rings_only_where_the_reward_rises(lengths: list[float]) -> None:
    assert "tokens" in alarm(noisy(line(-1, 1), noise=0.1, seed=1), lengths)
    assert alarm(noisy([0.0] * 48, noise=0.1, seed=1), lengths) == ""


def test_the_first_iterations_are_too_few_to_say() -> None:
    assert alarm([0, 5, 9, 20], [1, 9, 20, 60]) == ""


scores = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=7)


@given(scores, st.data())
def test_the_best_of_n_is_the_mean_over_all_choices_of_n(drawn: list[float], more: st.DataObject) -> None:
    n = more.draw(st.integers(1, len(drawn)))
    every = [max(choice) for choice in combinations(drawn, n)]
    assert best_of(drawn, n) == pytest.approx(sum(every) / len(every))


def test_the_best_of_n_takes_the_value_of_the_one_that_scores_highest() -> None:
    assert best_of([1, 3, 2], 3, [10, 20, 30]) == 20
    assert best_of([1, 3, 2], 2, [10, 20, 30]) == pytest.approx((20 + 30 + 20) / 3)
    assert best_of([1, 3, 2], 1, [10, 20, 30]) == pytest.approx(20)
    with pytest.raises(ValueError, match="draw at least n"):
        best_of([1, 2], 3)


def test_the_kl_of_the_best_of_n_by_integration() -> None:
    """With scores uniform on [0, 1] the best of n has density n u^(n-1): its KL is the integral of p log p."""
    assert best_of_kl(1) == 0
    steps = 20_000
    for n in (2, 4, 16):
        at = [(i + 0.5) / steps for i in range(steps)]
        integral = sum(n * u ** (n - 1) * math.log(n * u ** (n - 1)) for u in at) / steps
        assert best_of_kl(n) == pytest.approx(integral, abs=1e-3)


# ---- in real runs ----


@pytest.fixture(scope="module")
def talker(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A policy that ends its answers: two words, one of them now and then "good"."""
    from training.algorithms.sft import sft

    folder = tmp_path_factory.mktemp("talker")
    answers = ["red cat", "good dog", "blue bird"]
    rows = [{"prompt": each, "completion": answers[i % 3]} for i, each in enumerate(tiny.sentences(30))]
    path = tiny.write(folder / "rows.jsonl", rows)
    chosen = resolve("sft", preset="test", values={"epochs": 8, "learning_rate": 1e-2})
    sft(Run(folder), chosen, base=str(folders["llama"]), demonstrations=str(path))  # type: ignore[arg-type]
    return str(folder / "model")


def run(base: str, out: Path, *, reward: Rule, judge: Rule | None = None) -> ppo.Trainer:
    values = {
        "total_episodes": 1280, "batch_size": 32, "minibatch_size": 16, "learning_rate": 2e-3, "kl_coef": 0.02,
        "response_length": 24, "ema_decay": 0,
    }  # fmt: skip
    settings = resolve("ppo", preset="test", values=values)
    assert isinstance(settings, PPO)
    policy = load_policy(base)
    trainer = ppo.Trainer(
        settings,
        policy=policy,
        reference=load_policy(base),
        reward_model=new_reward_model(base, seed=0),
        prompts=[policy.encoder.prompt(each) for each in tiny.sentences(30)],
        judge=new_reward_model(base, seed=1) if judge else None,
    )
    for scorer, rule in ((trainer.reward_model, reward), (trainer.judge, judge)):
        if scorer and rule:
            scorer.rewards_by_prompt = by(rule, policy)  # type: ignore[method-assign]
    ppo.fit(Run(out), trainer)
    return trainer


def by(rule: Rule, policy: Policy) -> Callable[[Groups], torch.Tensor]:
    return lambda groups: rule(policy.collate([row for group in groups for row in group]))


def counts(batch: Batch) -> torch.Tensor:
    return batch.mask.sum(1).float()


def brief(batch: Batch) -> torch.Tensor:
    return -counts(batch)


def says(base: str, word: str) -> Rule:
    token = load_policy(base).tokenizer(word, add_special_tokens=False).input_ids[0]
    return lambda batch: (batch.spread(batch.targets) == token).any(1).float()


def test_a_run_that_learns_to_be_long_rings(talker: str, tmp_path: Path) -> None:
    trainer = run(talker, tmp_path, reward=counts)
    curve = lines(tmp_path / "metrics.jsonl")
    assert curve[-1]["objective/length"] > 1.5 * curve[0]["objective/length"]
    assert "tokens" in trainer.alarm
    assert (curve[0]["alarm"], curve[-1]["alarm"]) == (0, 1)


def test_a_run_whose_judge_disagrees_rings(talker: str, tmp_path: Path) -> None:
    trainer = run(talker, tmp_path, reward=counts, judge=brief)
    assert "independent reward model" in trainer.alarm
    assert lines(tmp_path / "metrics.jsonl")[-1]["objective/judge"] < -3


def test_a_run_that_learns_what_was_meant_is_silent(talker: str, tmp_path: Path) -> None:
    wanted = says(talker, "good")
    trainer = run(talker, tmp_path, reward=wanted, judge=wanted)
    curve = lines(tmp_path / "metrics.jsonl")
    assert curve[-1]["objective/reward"] > curve[0]["objective/reward"] + 0.3
    assert trainer.alarm == ""
    assert not any(row["alarm"] for row in curve)


def test_the_command_takes_a_judge_and_tells_its_score(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    for seed in (0, 1):
        assert stage("reward_model", base=folders["llama"], rankings=files["rankings"], out=tmp_path / f"rm{seed}",
                     set=[f"seed={seed}"]) == 0  # fmt: skip
    models = [tmp_path / f"rm{seed}" / "model" for seed in (0, 1)]
    given = {"policy": folders["llama"], "reward_model": models[0], "prompts": files["prompts"]}
    assert stage("ppo", **given, judge=models[1], out=tmp_path / "ppo") == 0
    result = json.loads((tmp_path / "ppo" / "result.json").read_text())
    assert math.isfinite(result["objective/judge"])
    assert result["objective/judge"] != result["objective/reward"]
    assert result["alarm"] == 0
    assert str(models[1]) in (tmp_path / "ppo" / "model" / "README.md").read_text()


def test_a_judge_of_another_family_is_refused(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    for family in ("llama", "t5"):
        assert stage("reward_model", base=folders[family], rankings=files["rankings"], out=tmp_path / family) == 0
    given = {"policy": folders["llama"], "reward_model": tmp_path / "llama" / "model", "prompts": files["prompts"]}
    assert stage("ppo", **given, judge=tmp_path / "t5" / "model", out=tmp_path / "ppo") == 2
    assert "the judge" in json.loads((tmp_path / "ppo" / "error.json").read_text())["message"]
