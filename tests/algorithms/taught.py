"""Tiny models that know one answer by heart and say it at temperature 0."""

from __future__ import annotations

from pathlib import Path

import torch

from training.algorithms.data import Row
from training.algorithms.losses import token_logprobs
from training.algorithms.networks import load_policy, new_reward_model

CHINESE = "中国的首都是北京。🙂 Good dog."


def teach(base: Path, folder: Path, *, asked: str = "one dog", says: str = CHINESE, steps: int = 120) -> Path:
    """Save what the model becomes that learns to answer so; the folder."""
    torch.manual_seed(0)
    policy = load_policy(str(base))
    row = Row(policy.encoder.prompt([{"role": "user", "content": asked}]), policy.encoder.completion(says))
    batch = policy.collate([row])
    optimiser = torch.optim.Adam(policy.parameters(), lr=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        (-token_logprobs(policy.logits(batch), batch.targets).mean()).backward()
        optimiser.step()
    policy.save(folder)
    return folder


def judge(base: Path, folder: Path) -> Path:
    """Save a reward model that has learnt nothing; the folder."""
    new_reward_model(str(base), seed=0).save(folder)
    return folder
