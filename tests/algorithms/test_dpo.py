"""DPO against the formula written out, pair by pair and row by row; and what it learns."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.algorithms import tiny
from tests.algorithms.conftest import Stage, lines
from training.algorithms import dpo, losses
from training.algorithms.data import Row
from training.algorithms.hyperparameters import DPO
from training.algorithms.networks import Policy, load_policy
from training.algorithms.optimisation import learning_rate
from training.algorithms.presets import resolve
from training.algorithms.rankings import Ranking, padded, read_rankings, together
from training.algorithms.run_folder import Run


def settings(**values: Any) -> DPO:
    found = resolve("dpo", preset="test", values=values)
    assert isinstance(found, DPO)
    return found


def ragged(policy: Policy) -> list[Ranking]:
    """Rankings of 2 to 4 completions of different lengths, ties among them."""
    words = [policy.encoder.completion(text) for text in ("good dog", "bad", "a red bird sings", "two cats")]
    ranks = [[1.0, 2.0], [2.0, 1.0, 2.0], [3.0, 1.0, 2.0, 4.0], [1.0, 1.0, 2.0]]
    prompts = [policy.encoder.prompt(each) for each in tiny.sentences(8)]
    return [
        Ranking([Row(prompt, completion) for completion in words[: len(ranks[i % 4])]], ranks[i % 4])
        for i, prompt in enumerate(prompts)
    ]


def plain_logprob(policy: Policy, row: Row) -> torch.Tensor:
    """log π of one completion, from transformers' own forward on the row alone."""
    if policy.seq2seq:
        ids = torch.tensor([[policy.start, *row.completion[:-1]]], device=policy.model.device)
        logits = policy.model(input_ids=ids.new_tensor([row.prompt]), decoder_input_ids=ids).logits[0]
    else:
        ids = torch.tensor([[*row.prompt, *row.completion]], device=policy.model.device)
        logits = policy.model(input_ids=ids).logits[0]
        logits = logits[len(row.prompt) - 1 : -1]
    return logits.log_softmax(-1)[range(len(row.completion)), row.completion].sum()


def plain_loss(policy: Policy, reference: Policy, rankings: list[Ranking], *, beta: float) -> torch.Tensor:
    """Equation 7, pair by pair, averaged over a ranking's pairs and then over the rankings."""
    means = []
    for ranking in rankings:
        pairs = []
        for i, j in combinations(range(len(ranking.rows)), 2):
            if ranking.ranks[i] == ranking.ranks[j]:
                continue
            w, l = (i, j) if ranking.ranks[i] < ranking.ranks[j] else (j, i)  # noqa: E741 - as the paper has them
            ratios = []
            for k in (w, l):
                with torch.no_grad():
                    anchor = plain_logprob(reference, ranking.rows[k])
                ratios.append(beta * (plain_logprob(policy, ranking.rows[k]) - anchor))
            pairs.append(-torch.sigmoid(ratios[0] - ratios[1]).log())
        means.append(sum(pairs) / len(pairs))
    return sum(means) / len(means)  # type: ignore[return-value]


def moved(base: str, *, seed: int = 5) -> Policy:
    """The base with its weights stirred, so that no log-ratio is 0."""
    policy = load_policy(base)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator).to(parameter)
    return policy


def gradient(policy: Policy) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None])


def test_the_loss_of_a_pair_by_hand() -> None:
    rewards = losses.implicit_rewards(torch.tensor([-3.0, -4.0]), torch.tensor([-5.0, -3.0]), beta=0.5)
    assert rewards.tolist() == [1.0, -0.5]
    loss = losses.ranking_loss(rewards, torch.tensor([1, 2]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1.5)))


def test_loss_and_gradient_equal_those_pair_by_pair(base: str) -> None:
    policy, reference, chosen = moved(base), load_policy(base), settings(beta=0.3)
    rankings = ragged(policy)
    known = dpo.reference_of(reference, rankings, settings=chosen)
    found = dpo.learn(policy, rankings, known, settings=chosen)["loss"]
    ours = gradient(policy)
    policy.zero_grad()
    wanted = plain_loss(policy, reference, rankings, beta=0.3)
    wanted.backward()
    assert found == pytest.approx(wanted.item(), abs=1e-5)
    assert found != pytest.approx(math.log(2), abs=1e-3)
    assert torch.allclose(ours, gradient(policy), rtol=1e-4, atol=1e-6)


def test_the_parts_that_a_batch_runs_in_do_not_show(base: str) -> None:
    policy, chosen = moved(base), settings()
    rankings = ragged(policy)
    known = dpo.reference_of(load_policy(base), rankings, settings=chosen)
    found = []
    for budget in (128, 2048):
        policy.zero_grad()
        metrics = dpo.learn(policy, rankings, known, settings=settings(token_budget=budget))
        found.append((metrics, gradient(policy)))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-6)


def test_parts_keep_to_the_budget_and_hold_every_ranking_once(base: str) -> None:
    rankings = ragged(load_policy(base))
    found = together([each.rows for each in rankings], places=padded, token_budget=100)
    assert sorted(i for part in found for i in part) == list(range(len(rankings)))
    assert len(found) > 1
    for part in found:
        rows = [row for i in part for row in rankings[i].rows]
        assert len(part) == 1 or len(rows) * max(row.length for row in rows) <= 100


def test_the_policy_begins_with_rewards_of_nothing(base: str) -> None:
    policy, chosen = load_policy(base), settings()
    rankings = ragged(policy)
    metrics = dpo.learn(policy, rankings, dpo.reference_of(policy, rankings, settings=chosen), settings=chosen)
    assert metrics["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert metrics["rewards/chosen"] == pytest.approx(0, abs=1e-5)


def test_twenty_steps_equal_those_of_a_plain_loop(base: str, tmp_path: Path) -> None:
    chosen = settings(
        max_steps=20, epochs=0, batch_size=3, warmup_steps=5, adam_epsilon=1e-5, weight_decay=0.1, max_grad_norm=0.5
    )
    policy, plain, reference = load_policy(base), load_policy(base), load_policy(base)
    rankings = ragged(policy)
    dpo.fit(Run(tmp_path), policy, rankings, reference=reference, settings=chosen)
    plain.eval()
    parameters = list(plain.parameters())
    adam = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.1},
            {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
        eps=1e-5,
    )
    order = dpo.data.Order([r.length for r in rankings], batch_size=3, seed=0, group=False)
    for step in range(20):
        adam.zero_grad()
        plain_loss(plain, reference, [rankings[i] for i in order.batch(step)], beta=0.1).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 0.5)
        for group in adam.param_groups:
            group["lr"] = learning_rate(step, peak=1e-3, total_steps=20, settings=chosen)
        adam.step()
    begun = load_policy(base)
    for (name, ours), theirs, was in zip(
        policy.named_parameters(), plain.parameters(), begun.parameters(), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=2e-5), name
        assert (ours - was).abs().max() > 1e-3, name


def test_every_weight_of_the_policy_moves_and_none_of_the_reference(base: str, tmp_path: Path) -> None:
    policy, reference = moved(base), load_policy(base)
    before = [[p.detach().clone() for p in model.parameters()] for model in (policy, reference)]
    dpo.fit(Run(tmp_path), policy, ragged(policy), reference=reference, settings=settings())
    assert all(not torch.equal(p, was) for p, was in zip(policy.parameters(), before[0], strict=True))
    assert all(torch.equal(p, was) for p, was in zip(reference.parameters(), before[1], strict=True))


def test_dpo_learns_what_annotators_prefer(stage: Stage, base: str, files: dict[str, str], tmp_path: Path) -> None:
    unseen = [
        {"prompt": each, "completions": [{"text": "good " + each, "rank": 1}, {"text": "bad " + each, "rank": 2}]}
        for each in tiny.sentences(12, start=40)
    ]
    held_out = tiny.write(tmp_path / "unseen.jsonl", unseen)
    assert stage("dpo", policy=base, rankings=files["rankings"], held_out=held_out, out=tmp_path / "dpo",
                 set=["epochs=10"]) == 0  # fmt: skip
    result = json.loads((tmp_path / "dpo" / "result.json").read_text())
    assert result["held_out/accuracy"] == 1
    assert result["held_out/loss"] < 0.5
    policy = load_policy(str(tmp_path / "dpo" / "model"))
    rankings = read_rankings(held_out, policy.encoder)
    assert all(scores[0] > scores[1] for scores in dpo.logprobs_of(policy, rankings))
    assert "rankings directly" in (tmp_path / "dpo" / "model" / "README.md").read_text()


def test_a_reference_may_be_another_model(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    assert stage("sft", base=folders["llama"], demonstrations=files["demonstrations"], out=tmp_path / "sft") == 0
    given = {"rankings": files["rankings"], "policy": tmp_path / "sft" / "model"}
    assert stage("dpo", **given, reference=folders["llama"], out=tmp_path / "dpo") == 0
    first = lines(tmp_path / "dpo" / "metrics.jsonl")[0]
    assert first["loss"] != pytest.approx(math.log(2), abs=1e-3)
    assert stage("dpo", **given, reference=folders["gpt2"], out=tmp_path / "other") == 2


def test_the_best_of_n_is_the_completion_with_the_highest_reward(
    stage: Stage, base: str, files: dict[str, str], tmp_path: Path
) -> None:
    assert stage("reward_model", base=base, rankings=files["rankings"], out=tmp_path / "rm") == 0
    assert stage("best_of_n", policy=base, reward_model=tmp_path / "rm" / "model", prompts=files["prompts"],
                 out=tmp_path / "best", set=["completions=6"]) == 0  # fmt: skip
    rows = lines(tmp_path / "best" / "best_of_n.jsonl")
    result = json.loads((tmp_path / "best" / "result.json").read_text())
    rewards = [[each["reward"] for each in row["completions"]] for row in rows]
    assert [row["id"] for row in rows] == list(range(12))
    assert all(row[line["chosen"]] == max(row) and len(row) == 6 for row, line in zip(rewards, rows, strict=True))
    assert result["best_of_6/reward"] == pytest.approx(sum(map(max, rewards)) / 12, abs=1e-5)
    assert result["best_of_1/reward"] == pytest.approx(sum(map(sum, rewards)) / 72, abs=1e-5)
    assert result["best_of_6/kl"] == pytest.approx(math.log(6) - 5 / 6, abs=1e-5)
    assert not (tmp_path / "best" / "samples.jsonl").exists()


def test_the_best_of_n_takes_equal_completions_as_they_fall() -> None:
    from training.algorithms.errors import InputError

    with pytest.raises(InputError, match="Set it to 0"):
        resolve("best_of_n", values={"candidates": 30})
