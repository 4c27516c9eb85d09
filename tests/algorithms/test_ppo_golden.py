"""PPO on stored rollouts against a version that takes one episode, one token and one formula at a time."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.algorithms import tiny
from training.algorithms import ppo
from training.algorithms.data import Row
from training.algorithms.episodes import Episodes
from training.algorithms.hyperparameters import PPO
from training.algorithms.networks import Policy, Scorer, load_policy, new_reward_model
from training.algorithms.presets import resolve
from training.algorithms.run_folder import Run
from training.algorithms.sampling import seed_for

STEPS = 20
VALUES: dict[str, Any] = {
    "total_episodes": 8 * 5, "batch_size": 8, "minibatch_size": 4, "num_ppo_epochs": 2, "kl_coef": 0.2, "lam": 0.9,
    "missing_eos_penalty": 0.5, "ema_decay": 0.9, "ptx_coef": 0.3, "ptx_batch_size": 3, "warmup_steps": 4,
    "adam_epsilon": 1e-5, "max_grad_norm": 0.5, "cliprange": 0.05, "cliprange_value": 0.1, "token_budget": 128,
}  # fmt: skip


def settings() -> PPO:
    found = resolve("ppo", preset="test", values=VALUES)
    assert isinstance(found, PPO)
    return found


def stirred(policy: Policy) -> Policy:
    """The policy moved from the reference, so that the KL is not 0."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator).to(parameter)
    return policy


def trainer(base: str) -> ppo.Trainer:
    torch.manual_seed(0)  # a pad token that is added gets a row of its own
    policy, scorer = stirred(load_policy(base)), new_reward_model(base, seed=0)
    scorer.offset = 0.7
    encode = policy.encoder
    return ppo.Trainer(
        settings(),
        policy=policy,
        reference=load_policy(base),
        reward_model=scorer,
        prompts=[encode.prompt(each) for each in tiny.sentences(12)],
        pretraining=[Row(encode.prompt(each), encode.completion(each)) for each in tiny.sentences(6, start=30)],
    )


def rollouts(made: ppo.Trainer) -> list[Row]:
    """Stored episodes of one to eight tokens, of which every other one ended by itself."""
    eos = made.policy.encoder.eos
    said = [made.policy.encoder.completion(each, ended=False) for each in tiny.sentences(8, start=50)]
    sizes = range(1, 9)
    return [
        Row(prompt, [*words[: size - 1], eos] if size % 2 else words[:size])
        for prompt, words, size in zip(made.prompts, said, sizes, strict=False)
    ]


def collected(made: ppo.Trainer, rows: list[Row], out: Path) -> tuple[Episodes, dict[str, float]]:
    """What the trainer makes of stored rollouts instead of fresh ones."""
    finished = torch.tensor([row.completion[-1] == made.policy.encoder.eos for row in rows])
    made._respond = lambda iteration, *, run: (rows, finished)  # type: ignore[method-assign, assignment]
    return made.collect(0, run=Run(out))


def forward(model: Policy | Scorer, row: Row, *, part: str) -> Tensor:
    """One row, alone, through transformers' own forward: the outputs that come before each completion token."""
    if model.seq2seq:
        inputs = {
            "input_ids": torch.tensor([row.prompt], device=model.model.device),
            "decoder_input_ids": torch.tensor([[model.start, *row.completion]], device=model.model.device),
        }
        return getattr(model.model(**inputs), part)[0]
    whole = model.model if part == "logits" else model.model.base_model
    ids = torch.tensor([[*row.prompt, *row.completion]], device=model.model.device)
    return getattr(whole(input_ids=ids), part)[0][len(row.prompt) - 1 :]


def logprobs(policy: Policy, row: Row) -> Tensor:
    logits = forward(policy, row, part="logits")[:-1]
    return torch.stack([(each - each.logsumexp(0))[token] for each, token in zip(logits, row.completion, strict=True)])


def scores(scorer: Scorer, row: Row) -> Tensor:
    """The score after each token from the prompt's last to the completion's last."""
    states = forward(scorer, row, part="last_hidden_state")
    return states @ scorer.score.weight[0] - scorer.offset


@torch.no_grad()
def plain_episodes(made: ppo.Trainer, rows: list[Row]) -> list[dict[str, list[float]]]:
    """Old log-probabilities, values, returns and whitened advantages, from loops over tokens."""
    chosen, found = made.settings, list[dict[str, list[float]]]()
    for row in rows:
        old, ref = logprobs(made.policy, row).tolist(), logprobs(made.reference, row).tolist()
        values = scores(made.value, row)[:-1].tolist()
        rewards = [-chosen.kl_coef * (a - b) for a, b in zip(old, ref, strict=True)]
        ended = row.completion[-1] == made.policy.encoder.eos
        rewards[-1] += float(scores(made.reward_model, row)[-1]) - (0 if ended else chosen.missing_eos_penalty)
        advantages = [0.0] * len(rewards)
        for t in range(len(rewards)):
            for k in range(t, len(rewards)):
                after = values[k + 1] if k + 1 < len(values) else 0.0
                advantages[t] += chosen.lam ** (k - t) * (rewards[k] + after - values[k])
        returns = [a + v for a, v in zip(advantages, values, strict=True)]
        found.append({"old": old, "values": values, "advantages": advantages, "returns": returns})
    pooled = list(chain.from_iterable(each["advantages"] for each in found))
    mean = sum(pooled) / len(pooled)
    deviation = math.sqrt(sum((a - mean) ** 2 for a in pooled) / len(pooled) + 1e-8)
    for each in found:
        each["advantages"] = [(a - mean) / deviation for a in each["advantages"]]
    return found


class Plain:
    """Twenty updates, an episode at a time; torch's own AdamW in its plainest form."""

    def __init__(self, made: ppo.Trainer) -> None:
        self.made, self.settings = made, made.settings
        self.models = {"policy": made.policy, "value": made.value}
        self.average = [p.detach().clone() for p in made.policy.parameters()]
        self.adams = {
            name: torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), eps=1e-5, weight_decay=0, foreach=False)
            for name, model in self.models.items()
        }

    def update(self, rows: list[Row], known: list[dict[str, list[float]]], *, step: int) -> None:
        place = step % 4  # two epochs of two minibatches
        shuffle = torch.Generator().manual_seed(seed_for(self.settings.seed, "minibatches", step // 4, place // 2))
        order = torch.randperm(len(rows), generator=shuffle).tolist()[place % 2 * 4 :][:4]
        count = sum(len(rows[i].completion) for i in order)
        loss = torch.zeros(())
        for i in order:
            new, values = logprobs(self.made.policy, rows[i]), scores(self.made.value, rows[i])[:-1]
            for t in range(len(rows[i].completion)):
                loss = loss + self._token(new[t], values[t], {name: each[t] for name, each in known[i].items()}) / count
        texts = [self.made.pretraining[i] for i in self.made.ptx_order.batch(step)]
        spoken = torch.cat([logprobs(self.made.policy, row) for row in texts])
        (loss - self.settings.ptx_coef * spoken.mean()).backward()
        rate = min(0.1 + 0.9 * step / 4, 1)
        for name, peak in (("policy", self.settings.learning_rate), ("value", self.settings.value_learning_rate)):
            torch.nn.utils.clip_grad_norm_(self.models[name].parameters(), 0.5)
            self.adams[name].param_groups[0]["lr"] = rate * peak
            self.adams[name].step()
            self.adams[name].zero_grad()
        decay = min(self.settings.ema_decay, (1 + step) / (10 + step))
        for mean, weight in zip(self.average, self.made.policy.parameters(), strict=True):
            mean.copy_(decay * mean + (1 - decay) * weight.detach())

    def _token(self, new: Tensor, value: Tensor, known: dict[str, float]) -> Tensor:
        ratio = (new - known["old"]).exp()
        low, high = 1 - self.settings.cliprange, 1 + self.settings.cliprange
        gain = torch.minimum(ratio * known["advantages"], ratio.clamp(low, high) * known["advantages"])
        near = value.clamp(known["values"] - 0.1, known["values"] + 0.1)
        worse = torch.maximum((value - known["returns"]) ** 2, (near - known["returns"]) ** 2)
        return -gain + self.settings.vf_coef * 0.5 * worse


def tensors(episodes: Episodes) -> dict[str, Tensor]:
    return {
        "old": episodes.logprobs, "values": episodes.values,
        "advantages": episodes.advantages, "returns": episodes.returns,
    }  # fmt: skip


def test_what_is_learnt_from_equals_loops_over_tokens(base: str, tmp_path: Path) -> None:
    made = trainer(base)
    episodes, metrics = collected(made, rollouts(made), tmp_path)
    plain = plain_episodes(made, episodes.rows)
    for name, found in tensors(episodes).items():
        for b, row in enumerate(episodes.rows):
            size = len(row.completion)
            assert found[b, :size].tolist() == pytest.approx(plain[b][name], abs=2e-5), (name, b)
            assert not found[b, size:].any(), (name, b)
    rewards = [float(scores(made.reward_model, row)[-1].detach()) for row in episodes.rows]
    assert metrics["objective/reward"] == pytest.approx(sum(rewards) / 8, abs=1e-5)
    assert metrics["objective/kl_k3"] > 0.01


def test_twenty_updates_equal_those_of_a_plain_loop(base: str, tmp_path: Path) -> None:
    made, twin, begun = trainer(base), trainer(base), trainer(base)
    episodes, _ = collected(made, rollouts(made), tmp_path)
    plain, known = Plain(twin), plain_episodes(twin, episodes.rows)
    clipped = 0.0
    for step in range(STEPS):
        clipped += made.update(episodes, step=step)["policy/clipfrac"]
        plain.update(episodes.rows, known, step=step)
    assert clipped > 0.5  # the clipped branch was walked
    for ours, theirs, was in (
        (made.policy, list(twin.policy.parameters()), begun.policy),
        (made.value, list(twin.value.parameters()), begun.value),
        (made.average, plain.average, begun.policy),
    ):
        assert ours is not None
        for (name, one), other, before in zip(ours.named_parameters(), theirs, was.parameters(), strict=True):
            assert torch.allclose(one, other, atol=1e-4), (name, (one - other).abs().max())
            assert name == "model.lm_head.weight" or (one - before).abs().max() > 1e-3, name
