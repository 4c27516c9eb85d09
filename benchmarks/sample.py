"""Sampling K completions a prompt of ragged lengths, ours against transformers' `generate` with the same distribution.

`generate` is told temperature 1, top_k 0 and top_p 1 (it takes the 50 likeliest tokens otherwise) and returns K
sequences a prompt. Both sides read the same prompts and end at EOS, after 35 tokens on average and 64 at most. The
figure counts tokens up to EOS in a second of processor time: with OMP_NUM_THREADS=1 it holds beside other work.
`--model half-billion` is for a GPU: more and longer completions, and the figure is by the clock. What a GPU spends on a
small step is launching it: `operations_a_step` is how many torch is asked for, in one more batch, for each token of its
longest completion.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import sides

COMPLETIONS = 4


class Size(NamedTuple):
    """Prompts a batch, the most new tokens and their mean, and what is compared: models by family and precision."""

    prompts: int
    new_tokens: int
    mean_length: int
    pairs: dict[str, tuple[str, str]]


SIZES = {
    "small": Size(
        8, 64, 35, {"llama fp32": ("llama", "fp32"), "gpt2 fp32": ("gpt2", "fp32"), "llama bf16": ("llama", "bf16")}
    ),
    "half-billion": Size(32, 128, 70, {"qwen2 bf16": ("qwen2", "bf16")}),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sample", description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--repeats", type=int, default=3, help="how often each side runs")
    parser.add_argument("--batches", type=int, default=8, help="batches that a side samples in one turn")
    parser.add_argument("--hidden", type=int, default=256, help="width of the models (four layers, 4,096 tokens)")
    parser.add_argument("--model", choices=list(SIZES), default="small")
    parser.add_argument("--side", nargs=3, metavar=("WHO", "FAMILY", "PRECISION"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        who, family, precision = arguments.side
        print(json.dumps(measured(who, family, precision, arguments)))
        return
    common = ("--hidden", str(arguments.hidden), "--batches", str(arguments.batches), "--model", arguments.model)
    compared = SIZES[arguments.model].pairs
    figure = "tokens_per_cpu_second" if arguments.model == "small" else "tokens_per_second"
    commands = {
        f"{pair}, {who}": [sys.executable, "-m", "benchmarks.sample", *common, "--side", who, *about]
        for pair, about in compared.items()
        for who in ("ours", "generate")
    }
    found = sides.alternate(commands, repeats=arguments.repeats)
    pairs = {
        pair: sides.compared({who: found[f"{pair}, {who}"] for who in ("ours", "generate")}, figure=figure)
        for pair in compared
    }
    first = next(iter(pairs.values()))
    sides.write(
        arguments.json,
        {
            "machine": sides.machine(),
            "model": arguments.model,
            "hidden": arguments.hidden,
            "ratio": first["ratio"],
            "pairs": pairs,
        },
    )


def measured(who: str, family: str, precision: str, arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    from benchmarks import random_models

    size, batches = SIZES[arguments.model], arguments.batches
    policy = (
        random_models.half_billion() if family == "qwen2" else random_models.policy(family, hidden=arguments.hidden)
    ).freeze()
    random_models.end_after(policy, size.mean_length)
    draw = random.Random(0)
    prompts = [ragged(draw, size) for _ in range(batches + 1)]
    if precision == "bf16" and (who == "generate" or family == "gpt2"):
        policy.model.to(torch.bfloat16)
    sample = ours if who == "ours" else generate
    sample(policy, prompts[0], precision, 0, size)
    started, used = time.perf_counter(), time.process_time()
    lengths = [length for i in range(1, batches + 1) for length in sample(policy, prompts[i], precision, i, size)]
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - used
    return {
        "tokens_per_second": round(sum(lengths) / seconds, 1),
        "tokens_per_cpu_second": round(sum(lengths) / cpu_seconds, 1),
        "mean_length": round(sum(lengths) / len(lengths), 2),
        "operations_a_step": operations_a_step(lambda: sample(policy, prompts[0], precision, 0, size)),
        **random_models.on_gpu(),
    }


def operations_a_step(sampled: Callable[[], list[int]]) -> float:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):
        asked: int = 0

        def __torch_dispatch__(self, operation: Any, _types: Any, arguments: Any = (), options: Any = None) -> Any:
            self.asked += not operation.is_view
            return operation(*arguments, **(options or {}))

    with Counting() as counting:  # type: ignore[no-untyped-call] # torch's own
        lengths = sampled()
    return float(round(counting.asked / max(lengths), 1))


def ragged(draw: random.Random, size: Size) -> list[list[int]]:
    """Prompts of 16 to 112 random tokens."""
    from benchmarks.random_models import VOCABULARY

    return [[draw.randrange(2, VOCABULARY) for _ in range(draw.randint(16, 112))] for _ in range(size.prompts)]


def ours(policy: Any, prompts: list[list[int]], precision: str, number: int, size: Size) -> list[int]:
    from training.algorithms import sampling

    seeds = [[sampling.seed_for(number, i, k) for k in range(COMPLETIONS)] for i in range(len(prompts))]
    settings = sampling.Settings(max_new_tokens=size.new_tokens, precision=precision)
    return [
        len(each.tokens) for row in sampling.sample(policy, prompts, seeds=seeds, settings=settings) for each in row
    ]


def generate(policy: Any, prompts: list[list[int]], precision: str, number: int, size: Size) -> list[int]:
    import torch
    from transformers import GenerationConfig

    config = GenerationConfig(
        max_new_tokens=size.new_tokens, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
        num_return_sequences=COMPLETIONS, eos_token_id=policy.encoder.eos, pad_token_id=policy.pad,
        disable_compile=True,
    )  # fmt: skip
    torch.manual_seed(number)
    longest = max(map(len, prompts))
    ids = torch.tensor([[policy.pad] * (longest - len(prompt)) + prompt for prompt in prompts])
    ids = ids.to(policy.model.device)
    with torch.no_grad():
        sampled = policy.model.generate(input_ids=ids, attention_mask=ids != policy.pad, generation_config=config)
    ended = (sampled[:, longest:] == policy.encoder.eos).long()
    lengths: list[int] = torch.where(ended.any(1), ended.argmax(1) + 1, ended.shape[1]).tolist()
    return lengths


if __name__ == "__main__":
    main()
