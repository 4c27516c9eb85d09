"""Tiny runs learn what was planted for them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.algorithms import tiny
from tests.algorithms.conftest import Stage, lines
from training.algorithms import ppo
from training.algorithms.data import Row
from training.algorithms.episodes import Episodes
from training.algorithms.hyperparameters import PPO
from training.algorithms.networks import load_policy, new_reward_model
from training.algorithms.presets import resolve
from training.algorithms.run_folder import Run
from training.algorithms.shared_prompts import Groups


def result(out: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((out / "result.json").read_text())
    return figures


def settings(**values: Any) -> PPO:
    found = resolve("ppo", preset="test", values=values)
    assert isinstance(found, PPO)
    return found


class LikesGood:
    """A reward model by rule: 1 for each " good" of a completion. Takes the place of a Scorer's rewards_by_prompt."""

    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, groups: Groups) -> torch.Tensor:
        return torch.tensor([float(row.completion.count(self.token)) for group in groups for row in group])


def trainer(family: str, base: str, chosen: PPO, *, prompts: int = 12) -> ppo.Trainer:
    policy, scorer = load_policy(base), new_reward_model(base, seed=0)
    encoded = [policy.encoder.prompt(each) for each in tiny.sentences(prompts)]
    return ppo.Trainer(chosen, policy=policy, reference=load_policy(base), reward_model=scorer, prompts=encoded)


def test_a_reward_model_learns_what_annotators_prefer(
    stage: Stage, base: str, files: dict[str, str], tmp_path: Path
) -> None:
    unseen = [
        {"prompt": each, "completions": [{"text": "good " + each, "rank": 1}, {"text": "bad " + each, "rank": 2}]}
        for each in tiny.sentences(12, start=40)
    ]
    held_out = tiny.write(tmp_path / "unseen.jsonl", unseen)
    assert stage("reward_model", base=base, rankings=files["rankings"], held_out=held_out, out=tmp_path / "rm",
                 set=["epochs=10"]) == 0  # fmt: skip
    assert result(tmp_path / "rm")["held_out/accuracy"] == 1.0


def test_fine_tuning_learns_the_demonstrations(stage: Stage, base: str, files: dict[str, str], tmp_path: Path) -> None:
    assert stage("sft", base=base, demonstrations=files["demonstrations"], out=tmp_path / "sft",
                 set=["epochs=40", "learning_rate=1e-2"]) == 0  # fmt: skip
    assert stage("sample", policy=tmp_path / "sft" / "model", prompts=files["prompts"], out=tmp_path / "s",
                 set=["temperature=0"]) == 0  # fmt: skip
    assert [row["completions"][0]["text"] for row in lines(tmp_path / "s" / "samples.jsonl")] == ["good dog"] * 12


def test_ppo_learns_to_please_the_reward_model(
    family: str, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(total_episodes=640, batch_size=32, minibatch_size=16, learning_rate=3e-3, kl_coef=0.01, seed=1)
    made = trainer(family, base, chosen)
    good = made.policy.tokenizer(" good", add_special_tokens=False).input_ids[0]
    monkeypatch.setattr(made.reward_model, "rewards_by_prompt", LikesGood(good), raising=False)
    ppo.fit(Run(tmp_path), made)
    curve = [row["objective/reward"] for row in lines(tmp_path / "metrics.jsonl")]
    assert sum(curve[-3:]) / 3 > sum(curve[:3]) / 3 + 1


def test_ppo_stays_near_the_reference_where_the_kl_weighs_most(
    family: str, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, held = (
        settings(total_episodes=320, batch_size=32, minibatch_size=16, learning_rate=3e-3, kl_coef=coef)
        for coef in (0.0, 1.0)
    )
    ends = []
    for name, chosen in (("free", free), ("held", held)):
        made = trainer(family, base, chosen)
        good = made.policy.tokenizer(" good", add_special_tokens=False).input_ids[0]
        monkeypatch.setattr(made.reward_model, "rewards_by_prompt", LikesGood(good), raising=False)
        (tmp_path / name).mkdir()
        ppo.fit(Run(tmp_path / name), made)
        ends.append(lines(tmp_path / name / "metrics.jsonl")[-1]["objective/kl_k3"])
    assert ends[1] < ends[0]


def test_ppo_moves_every_weight_of_policy_and_value_and_no_other(family: str, base: str, tmp_path: Path) -> None:
    made = trainer(family, base, settings(total_episodes=8, ema_decay=0.0))
    moving, still = (made.policy, made.value), (made.reference, made.reward_model)
    before = [copy.deepcopy(dict(module.named_parameters())) for module in (*moving, *still)]
    ppo.fit(Run(tmp_path), made)
    for module, was in zip(moving, before[:2], strict=True):
        used = {name for name, p in module.named_parameters() if name != "model.lm_head.weight"}
        assert all(not torch.equal(dict(module.named_parameters())[name], was[name]) for name in used)
    for module, was in zip(still, before[2:], strict=True):
        assert all(torch.equal(value, was[name]) for name, value in module.named_parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_first_update_starts_from_a_ratio_of_one(family: str, precision: str, base: str, tmp_path: Path) -> None:
    made = trainer(family, base, settings(minibatch_size=8, precision=precision))
    episodes, collected = made.collect(0, run=Run(tmp_path))
    updated = made.update(episodes, step=0)
    assert updated["policy/clipfrac"] == 0
    assert updated["policy/approx_kl"] == pytest.approx(0, abs=1e-6)
    assert collected["objective/kl"] == pytest.approx(0, abs=1e-5)


def test_values_begin_as_the_reward_models(base: str) -> None:
    made = trainer("", base, settings())
    rows = [Row([9, 8], [7, 6, 5])]
    batch = made.value.collate(rows)
    assert torch.allclose(made.value.rewards(batch), made.reward_model.rewards(batch))


def test_an_unfinished_completion_pays_the_penalty(base: str, tmp_path: Path) -> None:
    episodes = []
    for penalty in (0.0, 50.0):
        made = trainer("", base, settings(missing_eos_penalty=penalty, lam=1.0, kl_coef=0.0))
        found, _ = made.collect(0, run=Run(tmp_path))
        episodes.append(found)
    ended = torch.tensor([row.completion[-1] == made.policy.encoder.eos for row in episodes[0].rows])
    fell = (episodes[0].returns[:, 0] - episodes[1].returns[:, 0]).cpu()
    assert torch.allclose(fell, torch.where(ended, 0.0, 50.0), atol=1e-3)


def test_episodes_survive_being_packed(base: str, tmp_path: Path) -> None:
    made = trainer("", base, settings())
    episodes, _ = made.collect(0, run=Run(tmp_path))
    again = Episodes.unpack(episodes.pack())
    assert again.rows == episodes.rows
    assert torch.equal(again.advantages, episodes.advantages)


def test_pretraining_gradients_are_mixed_in(base: str) -> None:
    made = trainer("", base, settings(ptx_coef=3.0))
    rows = [Row([9], [8, 7, 6])]
    gradients = []
    for weight in (1.0, 3.0):
        made.policy.zero_grad()
        ppo.language_model.backward(made.policy, rows, settings=made.settings, weight=weight)
        gradients.append(torch.cat([p.grad.flatten() for p in made.policy.parameters() if p.grad is not None]))
    assert torch.allclose(gradients[1], 3 * gradients[0], rtol=1e-4, atol=1e-6)


def test_the_result_is_the_average_of_the_weights(base: str, tmp_path: Path) -> None:
    made = trainer("", base, settings(ema_decay=0.5))
    begun = made.policy.model.get_output_embeddings().weight.detach().clone()
    episodes, _ = made.collect(0, run=Run(tmp_path))
    made.update(episodes, step=0)
    now = made.policy.model.get_output_embeddings().weight.detach()
    kept = made.result().model.get_output_embeddings().weight
    assert torch.allclose(kept, begun.lerp(now, 0.9), atol=1e-6)  # the first update weighs 1 - 1/10
