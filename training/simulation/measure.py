"""What a round's models are worth, measured on held-out prompts by a gold that no trainer sees."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

from annotation.models import Project, Prompt, Split
from training import formats, runs
from training.models import Policy, RewardModel, RunState, Stage, TrainingRun
from training.starter.gold import score

CLEAR = 0.3  # gold scores this far apart are a difference that anybody would see
POLL_SECONDS = 0.2

Texts = dict[str, list[str]]  # prompt → a policy's completions
Golds = dict[str, list[float]]


class StudyFailed(RuntimeError):
    """A stage of the study failed; the message says which and why."""


def held_out_prompts(project: Project, *, count: int) -> list[formats.PromptRow]:
    """Distinct prompts that no model is trained on, in an order that does not depend on when they were written."""
    chosen: dict[str, Prompt] = {}
    for prompt in Prompt.objects.filter(project=project).exclude(split=Split.TRAIN).order_by("digest", "id"):
        if len(chosen) == count:
            break
        chosen.setdefault(prompt.digest, prompt)
    if len(chosen) < count:
        raise StudyFailed(f"The project has {len(chosen)} distinct held-out prompts; {count} are to be measured on.")
    return [formats.prompt_row(prompt) for prompt in chosen.values()]


def finished(run: TrainingRun) -> TrainingRun:
    """The run once it has ended; StudyFailed where it did not succeed."""
    while not run.is_final:
        time.sleep(POLL_SECONDS)
        run.refresh_from_db()
    if run.state != RunState.SUCCEEDED:
        raise StudyFailed(f"{run} ended as {run.state}: {run.error}")
    return run


def sample(
    policy: Policy,
    prompts: Sequence[formats.PromptRow],
    *,
    completions: int,
    seed: int,
    temperature: float = 1.0,
    best_by: RewardModel | None = None,
) -> Texts:
    """Completions as they fall, equal ones included; with `best_by` the one it rewards most, of each prompt's."""
    run = finished(
        runs.create(
            policy.project,
            stage=Stage.SAMPLE,
            user=None,
            base=policy,
            judge=best_by,
            inputs={"prompts": list(prompts), "queue": False},
            values={"completions": completions, "candidates": 0, "temperature": temperature, "seed": seed},
        )
    )
    with (run.output / "samples.jsonl").open() as file:
        rows = [json.loads(line) for line in file]
    kept: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = (
        (lambda drawn: [max(drawn, key=lambda each: each["reward"])]) if best_by else (lambda drawn: drawn)
    )
    return {row["prompt"]: [each["text"] for each in kept(row["completions"])] for row in rows}


def golds(texts: Texts) -> Golds:
    return {prompt: [score(prompt, text) for text in written] for prompt, written in texts.items()}


def mean_characters(texts: Texts) -> float:
    lengths = [len(text) for written in texts.values() for text in written]
    return sum(lengths) / len(lengths)


def reward_accuracy(judge: RewardModel, run: TrainingRun, *, seed: int) -> dict[str, float | int]:
    """How often reward model and gold agree with the noisy labels on held-out rankings, over pairs that are not tied.

    A pair that the gold scores alike counts as half right for it. `clear` pairs are those that it sets CLEAR apart.
    """
    assert run.dataset is not None  # noqa: S101 - a reward model's run has one
    with (run.dataset.folder / "rankings_held_out.jsonl").open() as file:
        rankings = [json.loads(line) for line in file]
    scoring = finished(
        runs.create(
            run.project,
            stage=Stage.SCORE,
            user=None,
            judge=judge,
            inputs={"completions": rankings},
            values={"seed": seed},
        )
    )
    with (scoring.output / "scores.jsonl").open() as file:
        rewards = [[each["reward"] for each in json.loads(line)["completions"]] for line in file]
    right, of_gold, clear = list[float](), list[float](), list[float]()
    for ranking, scored in zip(rankings, rewards, strict=True):
        gold = [score(ranking["prompt"], each["text"]) for each in ranking["completions"]]
        ranks = [each["rank"] for each in ranking["completions"]]
        for a, b in combinations(range(len(ranks)), 2):
            if ranks[a] == ranks[b]:
                continue
            better, worse = (a, b) if ranks[a] < ranks[b] else (b, a)
            right.append(_point(scored[better], scored[worse]))
            of_gold.append(_point(gold[better], gold[worse]))
            if abs(gold[a] - gold[b]) >= CLEAR:
                clear.append(right[-1])
    return {
        "reward_accuracy": _mean(right),
        "gold_accuracy": _mean(of_gold),
        "reward_accuracy_clear": _mean(clear),
        "held_out_pairs": len(right),
        "held_out_rankings": len(rankings),
    }


def _point(better: float, worse: float) -> float:
    return 0.5 if better == worse else float(better > worse)


def _mean(points: Sequence[float]) -> float:
    return sum(points) / len(points) if points else float("nan")
