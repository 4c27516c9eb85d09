"""Fine-tuning on the same rows: ours, TRL's SFTTrainer as it comes, and transformers' Trainer with grouping and bf16.

Every side sees each row once, in batches of 16, with the same AdamW and the same falling rate; their held-out losses
are measured by one function and must be equal. The rows are a made-up language, in which a word has a few likely
followers, so that there is something to learn. The figure counts the tokens of the rows in a second of processor time:
with OMP_NUM_THREADS=1 it holds beside other work. The clock runs while a side trains, its first steps included.
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
from typing import Any

from benchmarks import sides

BATCH, RATE, BETAS = 16, 1e-3, (0.9, 0.999)
HELD_OUT = 64
FOLLOWERS = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sft", description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--repeats", type=int, default=3, help="how often each side runs")
    parser.add_argument("--steps", type=int, default=30, help="batches of 16 rows that a side trains on")
    parser.add_argument("--hidden", type=int, default=256, help="width of the model (a Llama of four layers)")
    parser.add_argument("--peers", default="", help="folder that TRL is installed in, where it is not beside torch")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measured(SIDES[arguments.side], steps=arguments.steps, hidden=arguments.hidden)))
        return
    common = ("--steps", str(arguments.steps), "--hidden", str(arguments.hidden))
    found = sides.alternate(
        {side: [sys.executable, "-m", "benchmarks.sft", *common, "--side", side] for side in SIDES},
        repeats=arguments.repeats,
        variables={"TRL defaults": {"PYTHONPATH": arguments.peers}} if arguments.peers else None,
    )
    report = sides.compared(found, figure="tokens_per_cpu_second")
    sides.write(arguments.json, {"machine": sides.machine(), "steps": arguments.steps, **report})


def measured(train: Callable[..., None], *, steps: int, hidden: int) -> dict[str, Any]:
    from benchmarks import random_models
    from training.algorithms import language_model, presets
    from training.algorithms.data import Row

    rows = [Row(*each) for each in language(steps * BATCH + HELD_OUT)]
    held_out, rows = rows[:HELD_OUT], rows[HELD_OUT:]
    policy = random_models.policy("llama", hidden=hidden)
    with tempfile.TemporaryDirectory() as folder:
        started, used = time.perf_counter(), time.process_time()
        train(policy, rows, Path(folder))
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - used
    tokens = sum(row.length for row in rows)
    return {
        "tokens_per_second": round(tokens / seconds, 1),
        "tokens_per_cpu_second": round(tokens / cpu_seconds, 1),
        "held_out_loss": language_model.mean_loss(
            policy, held_out, settings=presets.resolve("sft", values={"precision": "fp32"})
        ),
    }


def language(count: int) -> list[tuple[list[int], list[int]]]:
    """Prompts and completions of 16 to 112 tokens each, in which every word has FOLLOWERS equally likely followers."""
    from benchmarks.random_models import EOS, VOCABULARY

    draw = random.Random(0)
    words = VOCABULARY // 8
    followers = [[draw.randrange(2, words) for _ in range(FOLLOWERS)] for _ in range(words)]
    rows = []
    for _ in range(count):
        prompt, completion = draw.randint(16, 112), draw.randint(16, 112)
        said = [draw.randrange(2, words)]
        while len(said) < prompt + completion - 1:
            said.append(draw.choice(followers[said[-1]]))
        rows.append((said[:prompt], [*said[prompt:], EOS]))
    return rows


def ours(policy: Any, rows: list[Any], folder: Path) -> None:
    from training.algorithms import language_model, presets
    from training.algorithms.hyperparameters import SFT
    from training.algorithms.run_folder import Run

    settings = presets.resolve(
        "sft",
        values={
            "learning_rate": RATE, "schedule": "linear", "final_lr_fraction": 0, "adam_beta1": BETAS[0],
            "adam_beta2": BETAS[1], "batch_size": BATCH, "epochs": 1, "dropout": 0, "log_every": 10,
        },
    )  # fmt: skip
    assert isinstance(settings, SFT)
    language_model.fit(Run(folder), policy, rows, settings=settings)


def trl_defaults(policy: Any, rows: list[Any], folder: Path) -> None:
    """TRL's SFTTrainer: nothing set but what the comparison needs (loss on the answer, batch, rate, no files)."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    columns = [
        {"input_ids": [*row.prompt, *row.completion],
         "completion_mask": [0] * len(row.prompt) + [1] * len(row.completion)}
        for row in rows
    ]  # fmt: skip
    config = SFTConfig(completion_only_loss=True, **common(folder))
    trainer = SFTTrainer(
        policy.model, args=config, train_dataset=Dataset.from_list(columns), processing_class=policy.tokenizer
    )
    trainer.train()


def grouped_trainer(policy: Any, rows: list[Any], folder: Path) -> None:
    """transformers' Trainer with rows of like length together and bf16."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    columns = [
        {"input_ids": [*row.prompt, *row.completion], "labels": [-100] * len(row.prompt) + row.completion}
        for row in rows
    ]
    settings = TrainingArguments(train_sampling_strategy="group_by_length", bf16=True, **common(folder))
    collate = DataCollatorForSeq2Seq(policy.tokenizer, model=None)
    Trainer(policy.model, args=settings, train_dataset=columns, data_collator=collate).train()


def common(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder), "per_device_train_batch_size": BATCH, "num_train_epochs": 1, "learning_rate": RATE,
        "lr_scheduler_type": "linear", "adam_beta1": BETAS[0], "adam_beta2": BETAS[1], "use_cpu": True,
        "report_to": "none", "save_strategy": "no", "disable_tqdm": True,
    }  # fmt: skip


SIDES: dict[str, Callable[..., None]] = {
    "ours": ours,
    "TRL defaults": trl_defaults,
    "Trainer, grouped, bf16": grouped_trainer,
}


if __name__ == "__main__":
    main()
