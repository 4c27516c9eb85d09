"""The share of the matrix-multiply peak that each kind of training step reaches, and where the rest goes.

The peak is the best of several square products of 1,024, taken before and after the steps in the same process and
dtype. The products of a step are counted by torch's own counter of floating-point operations (linear layers and
attention, forward and backward); the share is their number in a second of processor time over the peak. A profile of
one more step says which operators took the time. With OMP_NUM_THREADS=1 the figures hold beside other work.
`--model half-billion` is for a GPU: batches that fill one, products of 8,192, seconds by the clock, and "waiting" is
the share of a step in which the GPU ran nothing.
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
from typing import Any, NamedTuple

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


class Size(NamedTuple):
    """What a step is of: rows (prompt, completion), rankings of six outputs, episodes; and the side of the product."""

    rows: int
    row: tuple[int, int]
    rankings: int
    output: tuple[int, int]
    episodes: int
    episode: tuple[int, int]
    product: int


SIZES = {
    "small": Size(16, (48, 48), 4, (64, 64), 16, (64, 48), 1024),
    "half-billion": Size(32, (256, 256), 16, (256, 128), 64, (128, 128), 8192),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.utilisation", description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--repeats", type=int, default=2, help="how often each side runs")
    parser.add_argument("--steps", type=int, default=3, help="steps that are timed in one turn")
    parser.add_argument("--hidden", type=int, nargs="+", default=HIDDEN)
    parser.add_argument("--model", choices=list(SIZES), default="small")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--side", nargs=3, metavar=("STAGE", "PRECISION", "HIDDEN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        stage, precision, hidden = arguments.side
        print(json.dumps(measured(stage, precision, hidden, steps=arguments.steps)))
        return
    widths = arguments.hidden if arguments.model == "small" else [arguments.model]
    commands = {
        f"{stage} {precision} {width}": [
            sys.executable, "-m", "benchmarks.utilisation", "--steps", str(arguments.steps),
            "--side", stage, precision, str(width),
        ]
        for width in widths for precision in arguments.precisions for stage in STAGES
    }  # fmt: skip
    found = sides.alternate(commands, repeats=arguments.repeats)
    shares = {side: sides.spread([turn["share"] for turn in turns]) for side, turns in found.items()}
    ratio = min(
        shares[f"{stage} {precision} {widths[-1]}"]["median"] for stage in STAGES for precision in arguments.precisions
    )
    report = {"machine": sides.machine(), "ratio": ratio, "shares": shares, "turns": found}
    sides.write(arguments.json, report)


Step = Callable[[], object]


def measured(stage: str, precision: str, width: str, *, steps: int) -> dict[str, Any]:
    import torch
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks import random_models

    size = SIZES["small" if width.isdecimal() else width]
    take_step = {"sft": sft, "reward": reward, "ppo": ppo}[stage](precision, width, size)
    take_step()
    with FlopCounterMode(display=False, custom_mapping=attention_operations()) as counter:
        take_step()
    peaks, seconds = [peak(precision, size.product)], []
    for _ in range(steps):
        began = now()
        take_step()
        seconds.append(now() - began)
    peaks.append(peak(precision, size.product))
    on_gpu = torch.cuda.is_available()
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as profiled:
        take_step()
        now()
    reached = counter.get_total_flops() / median(seconds)
    return {
        "share": round(reached / max(peaks), 3),
        "gflops": round(reached / 1e9, 1),
        "peak_gflops": round(max(peaks) / 1e9, 1),
        "seconds": round(median(seconds), 4),
        "time": time_by_kind(profiled.key_averages(), seconds=median(seconds) if on_gpu else None),
        **random_models.on_gpu(),
    }


def attention_operations() -> dict[Any, Callable[..., int]]:
    """How many operations a GPU's attention takes: torch's own counter refuses queries that share keys."""
    import torch

    def forward(query: list[int], key: list[int], *_others: Any, **_options: Any) -> int:
        rows, heads, length, width = query
        return 4 * rows * heads * length * key[2] * width

    def backward(_gradient: list[int], query: list[int], key: list[int], *_others: Any, **_options: Any) -> int:
        return 5 * forward(query, key) // 2  # five products instead of two

    names = [f"_scaled_dot_product_{kind}_attention" for kind in ("flash", "efficient", "cudnn")]
    return {getattr(torch.ops.aten, name): forward for name in names} | {
        getattr(torch.ops.aten, f"{name}_backward"): backward for name in names
    }


def now() -> float:
    """Seconds of processor time; on a GPU seconds by the clock, once it has done what it was given."""
    import torch

    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def peak(precision: str, size: int) -> float:
    """Floating-point operations a second in the best of several square products."""
    import torch

    from training.algorithms.optimisation import device

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, dtype=dtype, device=device()) for _ in range(2))
    a @ b
    seconds = []
    for _ in range(8):
        began = now()
        a @ b
        seconds.append(now() - began)
    return 2 * size**3 / min(seconds)


def time_by_kind(operators: Iterable[Any], *, seconds: float | None) -> dict[str, float]:
    """Share of a step's time in each kind of operator, without what it calls; `seconds` that the step took on a GPU."""
    found = dict.fromkeys([*KINDS, "the rest"], 0.0)
    for each in operators:
        if each.device_type.name != "CPU":
            continue  # a kernel, whose time its operator has too
        kind = next((kind for kind, names in KINDS.items() if any(name in each.key for name in names)), "the rest")
        found[kind] += each.self_cpu_time_total if seconds is None else each.self_device_time_total
    total = sum(found.values())
    if seconds is not None:
        found["waiting"] = max(seconds * 1e6 - total, 0.0)
        total = sum(found.values())
    return {kind: round(spent / total, 3) for kind, spent in found.items()}


def sft(precision: str, width: str, size: Size) -> Step:
    from training.algorithms import language_model, presets
    from training.algorithms.hyperparameters import SFT
    from training.algorithms.optimisation import Optimiser

    policy = _policy(width)
    settings = presets.resolve("sft", values={"precision": precision, **ROOM})
    assert isinstance(settings, SFT)
    optimiser = Optimiser(policy, settings, peak=1e-5, total_steps=1000)
    rows = [_row(size.row[0] + i, size.row[1] + i) for i in range(size.rows)]

    def take_step() -> None:
        language_model.backward(policy, rows, settings=settings)
        optimiser.update(0)

    return take_step


def reward(precision: str, width: str, size: Size) -> Step:
    """Rankings of six outputs."""
    from training.algorithms import presets, reward_model
    from training.algorithms.hyperparameters import Reward
    from training.algorithms.optimisation import Optimiser
    from training.algorithms.rankings import Ranking

    scorer = _scorer(width)
    settings = presets.resolve("reward_model", values={"precision": precision, **ROOM})
    assert isinstance(settings, Reward)
    optimiser = Optimiser(scorer, settings, peak=1e-5, total_steps=1000)
    prompts = [_row(size.output[0], 1).prompt for _ in range(size.rankings)]
    rankings = [
        Ranking([_row(1, size.output[1])._replace(prompt=prompt) for _ in range(6)], [1, 2, 3, 4, 5, 6])
        for prompt in prompts
    ]

    def take_step() -> None:
        reward_model.backward(scorer, rankings, settings=settings)
        optimiser.update(0)

    return take_step


def ppo(precision: str, width: str, size: Size) -> Step:
    """The update of policy and value on a minibatch of episodes; sampling and scoring are no part of it."""
    from training.algorithms import ppo as algorithm
    from training.algorithms import presets
    from training.algorithms.hyperparameters import PPO
    from training.algorithms.run_folder import Run

    sizes = {
        "total_episodes": 1000 * size.episodes, "batch_size": size.episodes, "minibatch_size": size.episodes,
        "response_length": size.episode[1], "ema_decay": 0.0,
    }  # fmt: skip
    settings = presets.resolve("ppo", values={"precision": precision, **sizes, **ROOM})
    assert isinstance(settings, PPO)
    trainer = algorithm.Trainer(
        settings,
        policy=_policy(width),
        reference=_policy(width),
        reward_model=_scorer(width),
        prompts=[_row(size.episode[0], 1).prompt for _ in range(size.episodes)],
    )
    episodes, _ = trainer.collect(0, run=Run(Path()))
    return lambda: trainer.update(episodes, step=0)


def _policy(width: str) -> Any:
    from benchmarks import random_models

    return random_models.policy("llama", hidden=int(width)) if width.isdecimal() else random_models.half_billion()


def _scorer(width: str) -> Any:
    from transformers import AutoModelForSequenceClassification

    from training.algorithms.networks import Scorer
    from training.algorithms.optimisation import device

    policy = _policy(width)
    policy.config.num_labels = 1
    with device():
        return Scorer(AutoModelForSequenceClassification.from_config(policy.config), policy.tokenizer)


DRAW = random.Random(0)
ROOM = {"token_budget": 65_536}  # a step in one part


def _row(prompt: int, completion: int) -> Any:
    from benchmarks.random_models import VOCABULARY
    from training.algorithms.data import Row

    return Row(*([DRAW.randrange(2, VOCABULARY) for _ in range(size)] for size in (prompt, completion)))


if __name__ == "__main__":
    main()
