"""From a policy back to people: which prompts it answers, and its answers as ranking sets in the queue.

A round's sets hold answers of the new policy and of the one that people ranked before, so that they are compared with
each other and the next reward model learns what sets them apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import MD5, Concat

from annotation.collection import NewCompletion, RankingSet, add_completions, add_ranking_items
from annotation.models import AssignmentState, Completion, Item, ItemKind, Pool, Project, Prompt, Split
from training import formats
from training.models import TrainingRun

CANDIDATES_PER_KEPT = 2  # outputs are often alike: of twice as many sampled, K distinct ones are kept
HELD_OUT_SHARE = 0.2


def choose_prompts(
    project: Project, *, count: int, seed: int = 0, held_out_share: float = HELD_OUT_SHARE
) -> list[formats.PromptRow]:
    """Prompts to rank next: those with the fewest rankings first, then by a hash of the text, the same each time.

    A share of them is held out, to measure the reward model by. None has outputs that still wait to be ranked, and none
    feeds PPO: rankings of those would train nobody.
    """
    train = _by_coverage(project, seed=seed).filter(split=Split.TRAIN, pool=Pool.REWARD)
    held_out = _by_coverage(project, seed=seed).exclude(split=Split.TRAIN)
    tested = _distinct(held_out, round(count * held_out_share))
    trained = _distinct(train, count - len(tested))
    if missing := count - len(tested) - len(trained):
        tested = _distinct(held_out, len(tested) + missing)
    return [formats.prompt_row(prompt) for prompt in (*trained, *tested)]


def sampling(project: Project) -> dict[str, Any]:
    """What a run that samples for the queue is asked for beside its preset."""
    return {"completions": CANDIDATES_PER_KEPT * project.k}


def register_samples(run: TrainingRun) -> dict[str, int]:
    """Put what a run sampled in the queue: K distinct outputs a prompt. Counts of what came and what was dropped."""
    counts = {
        "items": 0,
        "completions": 0,
        "empty": 0,
        "equal": 0,
        "spare": 0,
        "prompts_with_too_few": 0,
        "withdrawn": 0,
    }
    assert run.base is not None  # noqa: S101 - a sampling run has a policy
    policies = {False: run.base} | ({True: run.reference} if run.reference else {})  # by whether it is the one beside
    kept: dict[bool, list[NewCompletion]] = {beside: [] for beside in policies}
    there = Prompt.objects.in_bulk({row["id"] for row in _samples(run)})
    for row in _samples(run):
        if row["id"] not in there:  # its author has taken it back since
            counts["withdrawn"] += 1
            continue
        chosen = _distinct_texts(row["completions"], k=run.project.k, counts=counts)
        if len(chosen) < 2:
            counts["prompts_with_too_few"] += 1
            continue
        for sample in chosen:
            kept[sample.get("beside", False)].append(
                NewCompletion(
                    prompt_id=row["id"], text=sample["text"], sampling=_settings(run, sample), seed=sample["seed"]
                )
            )
    sets: dict[int, list[Completion]] = {}
    for beside, policy in policies.items():
        for completion in add_completions(policy.generator, kept[beside]):
            sets.setdefault(completion.prompt_id, []).append(completion)
    items = add_ranking_items(
        run.project,
        [RankingSet(prompt=there[prompt], completion_ids=[c.pk for c in made]) for prompt, made in sets.items()],
    )
    return counts | {"items": len(items), "completions": sum(map(len, kept.values()))}


def _by_coverage(project: Project, *, seed: int) -> QuerySet[Prompt]:
    waiting = Item.objects.filter(prompt=OuterRef("pk"), kind=ItemKind.RANKING).filter(
        ~Q(open_slots=[]) | Q(assignments__state=AssignmentState.LEASED)
    )
    return (
        Prompt.objects.usable()
        .filter(~Exists(waiting), project=project)
        .annotate(coverage=Count("rankings"), lot=MD5(Concat(Value(f"{seed}:"), "digest")))
        .order_by("coverage", "lot", "id")
    )


def _distinct(prompts: QuerySet[Prompt], count: int) -> list[Prompt]:
    """The first `count` with different texts."""
    chosen: dict[str, Prompt] = {}
    for prompt in prompts.iterator(chunk_size=500):
        if len(chosen) >= count:
            break
        chosen.setdefault(prompt.digest, prompt)
    return list(chosen.values())


def _samples(run: TrainingRun) -> Iterator[dict[str, Any]]:
    with (run.folder / "samples.jsonl").open() as file:
        for line in file:
            yield json.loads(line)


def _distinct_texts(samples: list[dict[str, Any]], *, k: int, counts: dict[str, int]) -> list[dict[str, Any]]:
    """The first K that say something and say different things, of two policies by turns.

    Which they are does not depend on what they say.
    """
    kept: dict[str, dict[str, Any]] = {}
    by_policy = [[each for each in samples if bool(each.get("beside")) == beside] for beside in (False, True)]
    for sample in filter(None, chain.from_iterable(zip_longest(*by_policy))):
        text = sample["text"].strip()
        if not text:
            counts["empty"] += 1
        elif text in kept:
            counts["equal"] += 1
        elif len(kept) == k:
            counts["spare"] += 1
        else:
            kept[text] = sample | {"text": text}
    return list(kept.values())


def _settings(run: TrainingRun, sample: dict[str, Any]) -> dict[str, Any]:
    named = ("temperature", "top_k", "top_p", "max_new_tokens")
    return {
        "run": run.pk,
        **{name: run.hyperparameters[name] for name in named},
        **{name: sample[name] for name in ("logprob", "tokens", "finished", "reward") if name in sample},
    }
