"""`python -m benchmarks.reward --rankings FILE --json FILE`: training a reward model here and with TRL's RewardTrainer.

Both train the same small Llama with the same head on the same rankings of nine outputs, ordered strictly by `score`:
here a ranking is one element of the batch, there its 36 pairs are, with TRL's defaults (bf16, gradient checkpointing,
8 pairs a forward pass). A step has the same comparisons on both sides, in the same order, so the models they end with
should judge alike. `ratio` is that of the rankings a second on the real texts; `long` has prompts of 256 tokens with
outputs of 64. `per_cpu_second` leaves out what other work on the machine took. `--model half-billion` is for a GPU.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import training.algorithms  # noqa: F401 - sets how threads wait, before torch is imported, for both sides alike
from benchmarks import sides

K, STEP = 9, 2  # outputs a ranking, rankings a step
LONGEST = 1024  # tokens; TRL leaves longer rows out
HELD_OUT = 40
# TRL's defaults, for both sides.
SHARED = {"learning_rate": 1e-4, "schedule": "linear", "final_lr_fraction": 0.0, "adam_beta2": 0.999}
Moment = tuple[float, float]  # on the clock and in processor time, seconds
TEXTS = {"real": "real texts", "long": "prompts of 256 tokens, outputs of 64"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reward", description=__doc__)
    parser.add_argument("--rankings", type=Path, required=True, help="JSON lines with nine scored completions each")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each side")
    parser.add_argument("--steps", type=int, default=5, help="steps of a turn; the first is not timed")
    parser.add_argument("--model", choices=["small", "half-billion"], default="small")
    parser.add_argument("--peer", default="", help="a folder with TRL in it, where it is not installed")
    parser.add_argument("--part", choices=["prepare", "ours", "trl"], help=argparse.SUPPRESS)
    parser.add_argument("--texts", choices=TEXTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part == "prepare":
        prepare(arguments.rankings, arguments.folder, rankings=arguments.steps * STEP, model=arguments.model)
    elif arguments.part:
        side = ours if arguments.part == "ours" else trl
        print(json.dumps(side(arguments.folder, arguments.texts)))
    else:
        sides.write(arguments.json, report(arguments))


def report(arguments: argparse.Namespace) -> sides.Figures:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.reward", "--rankings", str(arguments.rankings.resolve())]
        command += ["--folder", folder, "--steps", str(arguments.steps), "--model", arguments.model]
        sides.run([*command, "--part", "prepare"], variables={})
        found = {}
        for texts in TEXTS:
            turns = sides.alternate(
                {side: [*command, "--texts", texts, "--part", side] for side in ("ours", "trl")},
                repeats=arguments.repeats,
                variables={"trl": {"PYTHONPATH": arguments.peer}},
            )
            found[texts] = {"texts": TEXTS[texts], **sides.compared(turns, figure="rankings_per_second")}
            found[texts]["cpu_ratio"] = sides.compared(turns, figure="per_cpu_second")["ratio"]
    return {
        "ratio": found["real"]["ratio"],
        "outputs_a_ranking": K,
        "comparisons_a_step": STEP * K * (K - 1) // 2,
        **found,
        "machine": sides.machine(),
    }


def prepare(path: Path, folder: Path, *, rankings: int, model: str) -> None:
    """Write the model that both sides start from, and token ids to train on and to be judged on."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    from benchmarks import random_models
    from training.algorithms import starter_model
    from training.algorithms.networks import new_reward_model

    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if len(row["completions"]) == K]
    texts = (text for row in rows for text in (row["prompt"], *(each["text"] for each in row["completions"])))
    tokenizer = starter_model.train_tokenizer(texts, vocab_size=4096)
    torch.manual_seed(0)
    tokens: Any = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = random_models.half_billion_config(**tokens) if model == "half-billion" else LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=256, intermediate_size=688, num_hidden_layers=4, num_attention_heads=8,
        max_position_embeddings=2048, bos_token_id=None, **tokens,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    untrained = new_reward_model(str(folder / "base"), seed=0)
    untrained.save(folder / "model")

    chance = random.Random(0)
    real = [ordered(row, untrained.encoder) for row in rows]
    real = [row for row in real if max(len(row["prompt"]) + len(each) for each in row["outputs"]) <= LONGEST]
    chance.shuffle(real)
    held_out = real[:HELD_OUT]
    long = [made_up(chance, len(tokenizer)) for _ in range(rankings)]
    files = {"real": real[HELD_OUT:][:rankings], "long": long, "held_out": held_out}
    for name, chosen in files.items():
        (folder / f"{name}.json").write_text(json.dumps(chosen))
    print(json.dumps({name: len(chosen) for name, chosen in files.items()}))


def ordered(row: dict[str, Any], encoder: Any) -> dict[str, Any]:
    """Token ids of the prompt and of its outputs, the best by score first; equal scores stay in the file's order."""
    best_first = sorted(row["completions"], key=lambda each: -each["score"])
    return {
        "prompt": encoder.prompt(row["prompt"]),
        "outputs": [encoder.completion(each["text"]) for each in best_first],
    }


def made_up(chance: random.Random, vocabulary: int) -> dict[str, Any]:
    def ids(count: int) -> list[int]:
        return [chance.randrange(5, vocabulary) for _ in range(count)]

    return {"prompt": ids(256), "outputs": [ids(64) for _ in range(K)]}


def ours(folder: Path, texts: str) -> sides.Figures:
    from training.algorithms import presets
    from training.algorithms.networks import load_reward_model
    from training.algorithms.reward_model import fit
    from training.algorithms.run_folder import Run

    model = load_reward_model(str(folder / "model"))
    values = {**SHARED, "batch_size": STEP, "max_length": LONGEST}
    settings: Any = presets.resolve("reward_model", values=values)
    ends = list[Moment]()

    class Timed(Run):
        def log(self, *arguments: Any) -> None:
            ends.append(moment())

    with tempfile.TemporaryDirectory() as out:
        fit(Timed(Path(out)), model, in_order(read(folder / f"{texts}.json"), settings), settings=settings)
    return {**speed(ends), **judged(model, folder)}


def in_order(rankings: list[Any], settings: Any) -> list[Any]:
    """The rankings placed so that our shuffle takes them as they stand: TRL gets them in that order."""
    from training.algorithms import data

    order = data.Order([1] * len(rankings), batch_size=STEP, seed=settings.seed, group=False)
    taken = [i for step in range(order.steps_per_epoch) for i in order.batch(step)]
    placed = list(rankings)
    for ranking, i in zip(rankings, taken, strict=True):
        placed[i] = ranking
    return placed


def trl(folder: Path, texts: str) -> sides.Figures:
    import torch
    import transformers
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    from training.algorithms.networks import Scorer

    rows = json.loads((folder / f"{texts}.json").read_text())
    pairs = [
        {"chosen_ids": row["prompt"] + better, "rejected_ids": row["prompt"] + worse}
        for row in rows
        for better, worse in itertools.combinations(row["outputs"], 2)
    ]
    ends = list[Moment]()

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *_arguments: Any, **_options: Any) -> None:
            ends.append(moment())

    comparisons = STEP * K * (K - 1) // 2
    with tempfile.TemporaryDirectory() as out:
        arguments = RewardConfig(
            output_dir=out,
            gradient_accumulation_steps=comparisons // 8,  # of 8 pairs each, the default
            train_sampling_strategy="sequential",
            num_train_epochs=1,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder / "model")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
        trainer = RewardTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer,
            callbacks=[Clock()],
        )  # fmt: skip
        trainer.train()
    scorer = Scorer(trainer.model, tokenizer)
    return {**speed(ends), **judged(scorer, folder), "versions": sides.versions("trl", "accelerate", "datasets")}


def moment() -> Moment:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def speed(ends: list[Moment]) -> sides.Figures:
    """From the moments at which steps ended; the first step warms up."""
    from benchmarks import random_models

    rankings = (len(ends) - 1) * STEP
    seconds, cpu_seconds = (last - first for first, last in zip(ends[0], ends[-1], strict=True))
    return {
        "rankings_per_second": rankings / seconds,
        "per_cpu_second": rankings / cpu_seconds,
        **random_models.on_gpu(),
    }


def read(path: Path) -> list[Any]:
    from training.algorithms.data import Row
    from training.algorithms.rankings import Ranking

    return [
        Ranking([Row(row["prompt"], output) for output in row["outputs"]], list(range(K)))
        for row in json.loads(path.read_text())
    ]


def judged(model: Any, folder: Path) -> sides.Figures:
    """What the model makes of the held-out rankings, measured the same way for both sides, in fp32."""
    from training.algorithms.hyperparameters import Reward
    from training.algorithms.reward_model import measure

    measured = measure(model, read(folder / "held_out.json"), settings=Reward(precision="fp32"))
    return {"held_out_accuracy": measured["accuracy"], "held_out_loss": measured["loss"]}


if __name__ == "__main__":
    main()
