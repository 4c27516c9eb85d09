"""What the policy of a PPO run says to the same prompts with the same seeds, as training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.algorithms import sampling, sharding
from training.algorithms.data import Row
from training.algorithms.reward_model import rewards_of
from training.algorithms.run_folder import Run

if TYPE_CHECKING:
    from training.algorithms.ppo import Trainer


def write(run: Run, trainer: Trainer, prompts: Sequence[list[int]], *, step: int) -> None:
    """Append what the policy says now to the same prompts with the same seeds."""
    settings = trainer.settings
    with sharding.whole(trainer.policy) as policy:
        sampled = sampling.sample(
            policy,
            prompts,
            seeds=[[sampling.seed_for(settings.seed, "fixed", i)] for i in range(len(prompts))],
            settings=sampling.Settings(max_new_tokens=settings.response_length, precision=settings.precision),
            should_stop=run.should_stop,
        )
    rows = [Row(prompt, each[0].tokens) for prompt, each in zip(prompts, sampled, strict=True)]
    decode = trainer.policy.encoder.decode
    samples = [
        {"prompt": decode(row.prompt), "text": decode(row.completion), "reward": round(reward, 4)}
        for row, reward in zip(rows, rewards_of(trainer.reward_model, rows, settings=settings), strict=True)
    ]
    run.append("fixed_samples.jsonl", {"step": step, "total_steps": trainer.total_steps, "samples": samples})
