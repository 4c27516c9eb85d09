"""A policy beside people: it answers held-out prompts that people answered, in a sampling run, and is measured."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.audit import record
from annotation.models import User
from training import runs
from training.auditing import Action
from training.evaluation import EvaluationRefused, examples, rows
from training.evaluation.text_measures import Answered, measure
from training.models import Dataset, Policy, RewardModel, Stage, TrainingRun

ANSWERS = "demonstrations_held_out"
EXAMPLES = "demonstrations"  # of training prompts: none of them is asked
PROMPTS = 256


def start(
    policy: Policy,
    *,
    user: User | None,
    dataset: Dataset,
    judge: RewardModel | None = None,
    prompts: int = PROMPTS,
    completions: int = 1,
    temperature: float = 1.0,
    shots: int = 0,
    seed: int = 0,
) -> TrainingRun:
    """The run that samples; nothing of it goes in the queue. InputError where a number is none that sampling knows.

    `shots`: so many of people's answers to training prompts stand before each prompt, drawn by `seed`.
    """
    for other in (dataset, judge):
        if other is not None and other.project_id != policy.project_id:
            raise EvaluationRefused(_("{other} is of another project.").format(other=other))
    asked = rows.chosen(_prompts(dataset), count=prompts)
    if not asked:
        raise EvaluationRefused(
            _("Dataset {number} holds no answers by people to prompts that are held out, which is what a policy is "
              "measured against. Collect more answers, then freeze another dataset.").format(number=dataset.pk)
        )  # fmt: skip
    asked = _with_examples(dataset, asked, shots=shots, seed=seed) if shots else asked
    with transaction.atomic():
        record(Action.EVALUATED, actor=user, project=policy.project, model=policy.pk, dataset=dataset.pk)
        return runs.create(
            policy.project, stage=Stage.SAMPLE, user=user, dataset=dataset, base=policy, judge=judge,
            values={"completions": completions, "temperature": temperature},
            inputs={"evaluation": True, "queue": False, "prompts": asked, "shots": shots, "seed": seed},
        )  # fmt: skip


def figures(run: TrainingRun) -> dict[str, Any]:
    """What its outputs are worth, by name: over all prompts, and by use case, language and kind of prompt.

    Answers that were erased since it was started count no more.
    """
    assert run.dataset is not None  # noqa: S101 - `start` gave it one
    answers: dict[int, list[str]] = defaultdict(list)
    facts: dict[int, dict[str, str]] = {}
    kinds = rows.kinds(run.dataset)
    for row in rows.of_dataset(run.dataset, ANSWERS):
        prompt = row["prompt_id"]
        answers[prompt].append(row["completion"])
        facts[prompt] = {"use_case": row["use_case"], "language": row["language"]}
        if prompt in kinds:
            facts[prompt]["kind"] = kinds[prompt]
    said = [row for row in rows.read(run.folder / "samples.jsonl") if row["id"] in answers]
    answered = [
        (facts[row["id"]], _answered(row["completions"], answers[row["id"]], facts[row["id"]]["language"]))
        for row in said
    ]
    outputs = sum(len(row["completions"]) for row in said)
    return {"prompts": len(said), "outputs": outputs, **rows.measured(answered, measure)}


def _prompts(dataset: Dataset) -> list[dict[str, Any]]:
    """Each prompt that people answered, once."""
    found = {row["prompt_id"]: row for row in rows.of_dataset(dataset, ANSWERS)}
    return [{"id": number, "prompt": row["prompt"], "language": row["language"]} for number, row in found.items()]


def _with_examples(dataset: Dataset, asked: list[rows.Row], *, shots: int, seed: int) -> list[rows.Row]:
    try:
        return examples.before(asked, rows.of_dataset(dataset, EXAMPLES), shots=shots, seed=seed)
    except examples.TooFew as few:
        raise EvaluationRefused(
            _("Dataset {number} holds answers to {found} training prompts, and {shots} are to stand before each "
              "prompt. Ask for fewer, or collect more and freeze another dataset.").format(
                number=dataset.pk, found=few.found, shots=shots
            )
        ) from few  # fmt: skip


def _answered(outputs: list[dict[str, Any]], references: list[str], language: str) -> Answered:
    numbers = {"length": [float(each["tokens"]) for each in outputs]}
    numbers["finished"] = [float(each["finished"]) for each in outputs]
    if all("reward" in each for each in outputs):
        numbers["reward"] = [each["reward"] for each in outputs]
    return Answered([each["text"] for each in outputs], references, language, numbers)
