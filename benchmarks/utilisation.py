"""The share of the processor's matrix-multiply peak that each kind of training step reaches, and where the rest goes.

The peak is the best of several square products of 1,024, taken before and after the steps in the same process and
dtype. The products of a step are counted by torch's own counter of floating-point operations (linear layers and
attention, forward and backward); the share is their number in a second of processor time over the peak. A profile of
one more step says which operators took the time. With OMP_NUM_THREADS=1 the figures hold beside other work.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import sides

STAGES, PRECISIONS, HIDDEN = ("sft", "reward", "ppo"), ("bf16", "fp32"), (256, 512, 1024)
# Operators by what they do; what is not named here is elementwise work, copies and the loop itself.
KINDS = {
    "products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "aten::mkldnn", "mkldnn"),
    "attention": ("scaled_dot_product",),
    "casts and copies": ("aten::copy_", "aten::to", "aten::_to_copy", "aten::cat", "aten::contiguous", "aten::clone"),
    "optimiser": ("_fused_adamw_", "aten::_foreach", "aten::linalg_vector_norm"),
    "loss": ("log_softmax", "nll_loss", "cross_entropy"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.utilisation", description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--repeats", type=int, default=2, help="how often each side runs")
    parser.add_argument("--steps", type=int, default=3, help="steps that are timed in one turn")
    parser.add_argument("--hidden", type=int, nargs="+", default=HIDDEN)
    parser.add_argument("--side", nargs=3, metavar=("STAGE", "PRECISION", "HIDDEN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        stage, precision, hidden = arguments.side
        print(json.dumps(measured(stage, precision, int(hidden), steps=arguments.steps)))
        return
    commands = {
        f"{stage} {precision} {hidden}": [
            sys.executable, "-m", "benchmarks.utilisation", "--steps", str(arguments.steps),
            "--side", stage, precision, str(hidden),
        ]
        for hidden in arguments.hidden for precision in PRECISIONS for stage in STAGES
    }  # fmt: skip
    found = sides.alternate(commands, repeats=arguments.repeats)
    shares = {side: sides.spread([turn["share"] for turn in turns]) for side, turns in found.items()}
    largest = max(arguments.hidden)
    ratio = min(shares[f"{stage} {precision} {largest}"]["median"] for stage in STAGES for precision in PRECISIONS)
    report = {"machine": sides.machine(), "ratio": ratio, "shares": shares, "turns": found}
    sides.write(arguments.json, report)


Step = Callable[[], object]


def measured(stage: str, precision: str, hidden: int, *, steps: int) -> dict[str, Any]:
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    take_step = {"sft": sft, "reward": reward, "ppo": ppo}[stage](precision, hidden)
    take_step()
    with FlopCounterMode(display=False) as counter:
        take_step()
    peaks, seconds = [peak(precision)], []
    for _ in range(steps):
        began = time.process_time()
        take_step()
        seconds.append(time.process_time() - began)
    peaks.append(peak(precision))
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        take_step()
    reached = counter.get_total_flops() / median(seconds)
    return {
        "share": round(reached / max(peaks), 3),
        "gflops": round(reached / 1e9, 1),
        "peak_gflops": round(max(peaks) / 1e9, 1),
        "cpu_seconds": round(median(seconds), 3),
        "time": time_by_kind(profiled.key_averages()),
    }


def peak(precision: str, size: int = 1024) -> float:
    """Floating-point operations in a second of processor time, in the best of several square products."""
    import torch

    a, b = (torch.randn(size, size, dtype=torch.bfloat16 if precision == "bf16" else torch.float32) for _ in range(2))
    a @ b
    seconds = []
    for _ in range(8):
        began = time.process_time()
        a @ b
        seconds.append(time.process_time() - began)
    return 2 * size**3 / min(seconds)


def time_by_kind(operators: Iterable[Any]) -> dict[str, float]:
    """Share of a step's time in each kind of operator, without what it calls."""
    found = dict.fromkeys([*KINDS, "the rest"], 0.0)
    for each in operators:
        kind = next((kind for kind, names in KINDS.items() if any(name in each.key for name in names)), "the rest")
        found[kind] += each.self_cpu_time_total
    total = sum(found.values())
    return {kind: round(spent / total, 3) for kind, spent in found.items()}


def sft(precision: str, hidden: int) -> Step:
    from benchmarks import random_models
    from training.algorithms import language_model, presets
    from training.algorithms.hyperparameters import SFT
    from training.algorithms.optimisation import Optimiser

    policy = random_models.policy("llama", hidden=hidden)
    settings = presets.resolve("sft", values={"precision": precision})
    assert isinstance(settings, SFT)
    optimiser = Optimiser(policy, settings, peak=1e-5, total_steps=1000)
    rows = [_row(48 + i, 48 + i) for i in range(16)]

    def take_step() -> None:
        language_model.backward(policy, rows, settings=settings)
        optimiser.update(0)

    return take_step


def reward(precision: str, hidden: int) -> Step:
    """Four rankings of six outputs."""
    from training.algorithms import presets, reward_model
    from training.algorithms.hyperparameters import Reward
    from training.algorithms.optimisation import Optimiser

    scorer = _scorer(hidden)
    settings = presets.resolve("reward_model", values={"precision": precision})
    assert isinstance(settings, Reward)
    optimiser = Optimiser(scorer, settings, peak=1e-5, total_steps=1000)
    prompts = [_row(64, 1).prompt for _ in range(4)]
    rankings = [
        reward_model.Ranking([_row(1, 64)._replace(prompt=prompt) for _ in range(6)], [1, 2, 3, 4, 5, 6])
        for prompt in prompts
    ]

    def take_step() -> None:
        reward_model.backward(scorer, rankings, settings=settings)
        optimiser.update(0)

    return take_step


def ppo(precision: str, hidden: int) -> Step:
    """The update of policy and value on a minibatch of 16 episodes; sampling and scoring are no part of it."""
    from benchmarks import random_models
    from training.algorithms import ppo as algorithm
    from training.algorithms import presets
    from training.algorithms.hyperparameters import PPO
    from training.algorithms.run_folder import Run

    sizes = {"total_episodes": 16_000, "batch_size": 16, "minibatch_size": 16, "response_length": 48, "ema_decay": 0.0}
    settings = presets.resolve("ppo", values={"precision": precision, **sizes})
    assert isinstance(settings, PPO)
    trainer = algorithm.Trainer(
        settings,
        policy=random_models.policy("llama", hidden=hidden),
        reference=random_models.policy("llama", hidden=hidden),
        reward_model=_scorer(hidden),
        prompts=[_row(64, 1).prompt for _ in range(16)],
    )
    episodes, _ = trainer.collect(0, run=Run(Path()))
    return lambda: trainer.update(episodes, step=0)


def _scorer(hidden: int) -> Any:
    from transformers import LlamaForSequenceClassification

    from benchmarks import random_models
    from training.algorithms.networks import Scorer

    policy = random_models.policy("llama", hidden=hidden)
    policy.config.num_labels = 1
    return Scorer(LlamaForSequenceClassification(policy.config), policy.tokenizer)


DRAW = random.Random(0)


def _row(prompt: int, completion: int) -> Any:
    from benchmarks.random_models import VOCABULARY
    from training.algorithms.data import Row

    return Row(*([DRAW.randrange(2, VOCABULARY) for _ in range(size)] for size in (prompt, completion)))


if __name__ == "__main__":
    main()
