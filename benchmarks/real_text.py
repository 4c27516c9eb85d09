"""`python -m benchmarks.real_text --rankings FILE --json FILE`: what a small reward model learns from real rankings.

Prompts fall into five folds by the sha256 of their text. For each fold, on the rankings of the other four: `pretrain`
makes a tokenizer and a small Llama from their prompts and outputs, and `reward_model` goes on from it. It judges the
outputs of the fold, which neither stage has read, beside two other judges: the longer output wins, and a linear model
of words, word pairs and length (`linear_judge`) fitted to the same rankings.

The figure is the share of pairs of unequal `rank` that are ordered rightly, pooled over the folds. Differences come
with the 95 % interval of a paired bootstrap over prompts: pairs of one prompt are not independent. `ratio` is our
accuracy over that of the longer output. Seconds and processor seconds are those of training, the start of Python
included. With `--authors` the model also learns, before it sees a ranking, to name the `model` that wrote each output
of the other four folds; it is never told who wrote what it judges.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import sides

FOLDS = 5
DRAWS = 10_000  # of the bootstrap
OURS, LONGER, LINEAR = "ours", "longer", "linear"
# Found by trial on fold 1 alone.
PRETRAIN: dict[str, Any] = {
    "vocab_size": 4096, "hidden_size": 128, "num_layers": 2, "num_heads": 4, "intermediate_size": 384,
    "max_position_embeddings": 4096, "initializer_range": 0.05, "learning_rate": 2e-3, "batch_size": 32, "epochs": 1,
    "token_budget": 2048, "log_every": 20,
}  # fmt: skip
AUTHORS: dict[str, Any] = {"learning_rate": 1e-3, "warmup_steps": 10, "batch_size": 16, "epochs": 1, "log_every": 20}
REWARD: dict[str, Any] = {
    "learning_rate": 1e-3, "warmup_steps": 5, "final_lr_fraction": 0, "weight_decay": 0.1, "batch_size": 8, "epochs": 1,
    "max_length": 4096, "token_budget": 8192,
}  # fmt: skip

Rankings = list[dict[str, Any]]


class Judged(NamedTuple):
    """Of one prompt: the pairs of unequal rank, and how many of them each judge orders rightly."""

    prompt: str
    pairs: int
    right: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_text", description=__doc__)
    parser.add_argument("--rankings", type=Path, required=True, help="JSON lines of ranked outputs, gzipped or not")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)), help="those to run; all of them")
    parser.add_argument("--keep", type=Path, help="a folder to keep the models in; a call that finds them goes on")
    parser.add_argument("--authors", action="store_true", help="learn to name the authors of outputs first")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        figures = report(arguments.rankings, arguments.folds, folder=folder, authors=arguments.authors)
        sides.write(arguments.json, figures)


def report(path: Path, folds: Sequence[int], *, folder: Path, authors: bool = False) -> sides.Figures:
    from training.algorithms.data import ranking_problem, read_rows

    rows = read_rows(path, ranking_problem)
    judged, each = list[Judged](), list[sides.Figures]()
    for fold in folds:
        rest = [row for row in rows if fold_of(row["prompt"]) != fold]
        held_out = [row for row in rows if fold_of(row["prompt"]) == fold]
        judgements, figures = run_fold(rest, held_out, folder / str(fold), authors=authors)
        judged += judgements
        each.append({"fold": fold, **accuracies(judgements), **figures})
        print(json.dumps(each[-1]), flush=True)
    pooled = accuracies(judged)
    return {
        "ratio": round(pooled[OURS] / pooled[LONGER], 4),
        **pooled,
        "ours_less_longer": difference(judged, OURS, LONGER),
        "ours_less_linear": difference(judged, OURS, LINEAR),
        "linear_less_longer": difference(judged, LINEAR, LONGER),
        "folds": each,
        "pretrain": PRETRAIN,
        "authors": AUTHORS if authors else None,
        "reward_model": REWARD,
        "machine": sides.machine(),
    }


def fold_of(prompt: Any) -> int:
    text = prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % FOLDS


def run_fold(rest: Rankings, held_out: Rankings, folder: Path, *, authors: bool) -> tuple[list[Judged], sides.Figures]:
    """What each judge makes of the held-out rankings, and what ours took."""
    from benchmarks.linear_judge import LinearJudge

    folder.mkdir(parents=True, exist_ok=True)
    files = {"rest": rest, "held_out": held_out, "texts": texts(rest)} | ({"authors": named(rest)} if authors else {})
    paths = {name: folder / f"{name}.jsonl" for name in files}
    for name, rows in files.items():
        paths[name].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    base, judge = folder / "base", folder / ("judge_with_authors" if authors else "judge")
    stages = [run_stage("pretrain", base, PRETRAIN, texts=paths["texts"])]
    if authors:
        known = folder / "authors"
        stages.append(run_stage("pretrain", known, AUTHORS, base=base / "model", texts=paths["authors"]))
        base = known
    stages.append(run_stage("reward_model", judge, REWARD, base=base / "model", rankings=paths["rest"]))
    scores = judge / "scores"
    run_stage("score", scores, {}, reward_model=judge / "model", completions=paths["held_out"])
    scored = [json.loads(line) for line in (scores / "scores.jsonl").read_text().splitlines()]
    linear = LinearJudge().fit(rest)
    judgements = [judgement(row, linear) for row in scored]
    return judgements, {
        "prompts": len(held_out),
        **{name: round(sum(stage[name] for stage in stages), 1) for name in ("seconds", "cpu_seconds")},
        "parameters": stages[0]["parameters"],
    }


def texts(rankings: Rankings) -> Rankings:
    """Every output with its prompt, as a chat to learn language from."""
    return [
        {"messages": [*messages(row["prompt"]), {"role": "assistant", "content": each["text"]}]}
        for row in rankings
        for each in row["completions"]
    ]


def named(rankings: Rankings) -> Rankings:
    """The same chats, gone on by a question after the author and its answer, which alone is learnt."""
    return [
        {"messages": [*chat["messages"], {"role": "user", "content": "Who?"}, {"role": "assistant", "content": author}]}
        for chat, author in zip(
            texts(rankings), (str(each["model"]) for row in rankings for each in row["completions"]), strict=True
        )
    ]


def messages(prompt: Any) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def run_stage(stage: str, out: Path, values: Mapping[str, Any], **inputs: Path) -> sides.Figures:
    """The figures of `python -m training.algorithms STAGE` and its time; those of an earlier call if it is done."""
    done = out / "figures.json"
    if done.exists():
        return dict(json.loads(done.read_text()))
    command = [sys.executable, "-m", "training.algorithms", stage, "--out", str(out)]
    for name, path in inputs.items():
        command += [f"--{name.replace('_', '-')}", str(path.resolve())]
    for name, value in values.items():
        command += ["--set", f"{name}={value}"]
    began = time.perf_counter()
    figures = sides.run(command, variables={})
    figures["seconds"] = time.perf_counter() - began
    done.write_text(json.dumps(figures))
    return figures


def judgement(row: Mapping[str, Any], linear: Any) -> Judged:
    """row: a ranking with a `reward` on each completion."""
    from training.algorithms.data import ranks_of

    found = [each["text"] for each in row["completions"]]
    scores = {
        OURS: [each["reward"] for each in row["completions"]],
        LONGER: [float(len(text)) for text in found],
        LINEAR: linear.scores(found).tolist(),
    }
    ranks = ranks_of(dict(row))
    pairs = [(i, j) for i, one in enumerate(ranks) for j, two in enumerate(ranks) if one < two]
    right = {
        judge: sum(0.5 * (values[i] == values[j]) + (values[i] > values[j]) for i, j in pairs)
        for judge, values in scores.items()
    }
    return Judged(json.dumps(row["prompt"]), len(pairs), right)


def accuracies(judged: Sequence[Judged]) -> sides.Figures:
    pairs = sum(each.pairs for each in judged)
    shares = {judge: sum(each.right[judge] for each in judged) / pairs for judge in (OURS, LONGER, LINEAR)}
    return {judge: round(share, 4) for judge, share in shares.items()} | {"pairs": pairs}


def difference(judged: Sequence[Judged], one: str, other: str) -> dict[str, float]:
    """The difference of two pooled accuracies, and the 2.5th and 97.5th of a hundred parts of its bootstrap."""
    import numpy as np

    pairs = np.array([each.pairs for each in judged])
    more = np.array([each.right[one] - each.right[other] for each in judged])
    drawn = np.random.default_rng(0).integers(len(judged), size=(DRAWS, len(judged)))
    low, high = np.percentile(more[drawn].sum(1) / pairs[drawn].sum(1), [2.5, 97.5])
    middle = more.sum() / pairs.sum()
    return {name: round(float(value), 4) for name, value in (("difference", middle), ("low", low), ("high", high))}


if __name__ == "__main__":
    main()
