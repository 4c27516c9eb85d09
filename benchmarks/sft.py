"""Fine-tuning on the same rows: ours, TRL's SFTTrainer as it comes, and transformers' Trainer with grouping and bf16.

Every side sees each row once, in batches of 16, with the same AdamW and the same falling rate; their held-out losses
are measured by one function and must be equal. The rows are a made-up language, in which a word has a few likely
followers, so that there is something to learn. The figure counts the tokens of the rows in a second of processor time:
with OMP_NUM_THREADS=1 it holds beside other work. The clock runs while a side trains, its first steps included.
`--model half-billion` is for a GPU: longer rows, batches of 32, and the figure is by the clock.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import sides

BETAS = (0.9, 0.999)
HELD_OUT = 64
FOLLOWERS = 4


class Size(NamedTuple):
    """Rows a batch, the rate, and the most tokens of a prompt and of a completion; a seventh of it is the fewest."""

    batch: int
    rate: float
    longest: int


SIZES = {"small": Size(16, 1e-3, 112), "half-billion": Size(32, 1e-4, 224)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sft", description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--repeats", type=int, default=3, help="how often each side runs")
    parser.add_argument("--steps", type=int, default=30, help="batches that a side trains on")
    parser.add_argument("--hidden", type=int, default=256, help="width of the model (a Llama of four layers)")
    parser.add_argument("--model", choices=list(SIZES), default="small")
    parser.add_argument("--peers", default="", help="folder that TRL is installed in, where it is not beside torch")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measured(SIDES[arguments.side], arguments)))
        return
    common = ("--steps", str(arguments.steps), "--hidden", str(arguments.hidden), "--model", arguments.model)
    found = sides.alternate(
        {side: [sys.executable, "-m", "benchmarks.sft", *common, "--side", side] for side in SIDES},
        repeats=arguments.repeats,
        variables={"TRL defaults": {"PYTHONPATH": arguments.peers}} if arguments.peers else None,
    )
    figure = "tokens_per_cpu_second" if arguments.model == "small" else "tokens_per_second"
    report = sides.compared(found, figure=figure)
    sides.write(arguments.json, {"machine": sides.machine(), "steps": arguments.steps, **report})


def measured(train: Callable[..., None], arguments: argparse.Namespace) -> dict[str, Any]:
    from benchmarks import random_models
    from training.algorithms import language_model, presets
    from training.algorithms.data import Row

    size, small = SIZES[arguments.model], arguments.model == "small"
    rows = [Row(*each) for each in language(arguments.steps * size.batch + HELD_OUT, longest=size.longest)]
    held_out, rows = rows[:HELD_OUT], rows[HELD_OUT:]
    policy = random_models.policy("llama", hidden=arguments.hidden) if small else random_models.half_billion()
    judge = presets.resolve("sft", values={"precision": "fp32"})
    language_model.mean_loss(policy, held_out[:2], settings=judge)  # a GPU's first products take a second longer
    with tempfile.TemporaryDirectory() as folder:
        started, used = time.perf_counter(), time.process_time()
        train(policy, rows, Path(folder), size)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - used
    tokens = sum(row.length for row in rows)
    return {
        "tokens_per_second": round(tokens / seconds, 1),
        "tokens_per_cpu_second": round(tokens / cpu_seconds, 1),
        **random_models.on_gpu(),
        "held_out_loss": language_model.mean_loss(policy, held_out, settings=judge),
    }


def language(count: int, *, longest: int) -> list[tuple[list[int], list[int]]]:
    """Prompts and completions, in which every word has FOLLOWERS equally likely followers."""
    from benchmarks.random_models import EOS, VOCABULARY

    draw = random.Random(0)
    words = VOCABULARY // 128
    followers = [[draw.randrange(2, words) for _ in range(FOLLOWERS)] for _ in range(words)]
    rows = []
    for _ in range(count):
        prompt, completion = draw.randint(longest // 7, longest), draw.randint(longest // 7, longest)
        said = [draw.randrange(2, words)]
        while len(said) < prompt + completion - 1:
            said.append(draw.choice(followers[said[-1]]))
        rows.append((said[:prompt], [*said[prompt:], EOS]))
    return rows


def ours(policy: Any, rows: list[Any], folder: Path, size: Size) -> None:
    from training.algorithms import language_model, presets
    from training.algorithms.hyperparameters import SFT
    from training.algorithms.run_folder import Run

    settings = presets.resolve(
        "sft",
        values={
            "learning_rate": size.rate, "schedule": "linear", "final_lr_fraction": 0, "adam_beta1": BETAS[0],
            "adam_beta2": BETAS[1], "batch_size": size.batch, "epochs": 1, "dropout": 0, "log_every": 10,
        },
    )  # fmt: skip
    assert isinstance(settings, SFT)
    language_model.fit(Run(folder), policy, rows, settings=settings)


def trl_defaults(policy: Any, rows: list[Any], folder: Path, size: Size) -> None:
    """TRL's SFTTrainer: nothing set but what the comparison needs (loss on the answer, batch, rate, no files)."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    columns = [
        {"input_ids": [*row.prompt, *row.completion],
         "completion_mask": [0] * len(row.prompt) + [1] * len(row.completion)}
        for row in rows
    ]  # fmt: skip
    config = SFTConfig(completion_only_loss=True, **common(folder, size))
    trainer = SFTTrainer(
        policy.model, args=config, train_dataset=Dataset.from_list(columns), processing_class=policy.tokenizer
    )
    trainer.train()


def grouped_trainer(policy: Any, rows: list[Any], folder: Path, size: Size) -> None:
    """transformers' Trainer with rows of like length together and bf16."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    columns = [
        {"input_ids": [*row.prompt, *row.completion], "labels": [-100] * len(row.prompt) + row.completion}
        for row in rows
    ]
    settings = TrainingArguments(train_sampling_strategy="group_by_length", bf16=True, **common(folder, size))
    collate = DataCollatorForSeq2Seq(policy.tokenizer, model=None)
    Trainer(policy.model, args=settings, train_dataset=columns, data_collator=collate).train()


def common(folder: Path, size: Size) -> dict[str, Any]:
    import torch

    return {
        "output_dir": str(folder), "per_device_train_batch_size": size.batch, "num_train_epochs": 1,
        "learning_rate": size.rate,
        "lr_scheduler_type": "linear", "adam_beta1": BETAS[0], "adam_beta2": BETAS[1],
        "use_cpu": not torch.cuda.is_available(),
        "report_to": "none", "save_strategy": "no", "disable_tqdm": True,
    }  # fmt: skip


SIDES: dict[str, Callable[..., None]] = {
    "ours": ours,
    "TRL defaults": trl_defaults,
    "Trainer, grouped, bf16": grouped_trainer,
}


if __name__ == "__main__":
    main()
