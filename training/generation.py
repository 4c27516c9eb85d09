"""From a policy back to people: which prompts it answers, and its answers as ranking sets in the queue.

A round's sets hold answers of the new policy and of the one that people ranked before, so that they are compared with
each other and the next reward model learns what sets them apart.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import MD5, Concat

from annotation.collection import NewCompletion, RankingSet, add_completions, add_ranking_items
from annotation.models import (
    AssignmentState,
    ChosenBy,
    Completion,
    Generator,
    Item,
    ItemKind,
    Pool,
    Project,
    Prompt,
    Split,
)
from training import formats, registry
from training.choosing import Candidate, Group, choose
from training.models import Stage, TrainingRun

CANDIDATES_PER_KEPT = 2  # outputs are often alike: of twice as many sampled, K distinct ones are kept
HELD_OUT_SHARE = 0.2


def choose_prompts(
    project: Project, *, count: int, seed: int = 0, held_out_share: float = HELD_OUT_SHARE, pool: int = 1
) -> list[formats.PromptRow]:
    """Prompts to rank next: those with the fewest rankings first, then by a hash of the text, the same each time.

    A share of them is held out, to measure the reward model by. None has outputs that still wait to be ranked, and none
    feeds PPO: rankings of those would train nobody. `pool`: so many times as many of those that are not held out, to
    choose among once they are answered.
    """
    train = _by_coverage(project, seed=seed).filter(split=Split.TRAIN, pool=Pool.REWARD)
    held_out = _by_coverage(project, seed=seed).exclude(split=Split.TRAIN)
    tested = distinct(held_out, round(count * held_out_share))
    trained = distinct(train, pool * (count - len(tested)))
    if (missing := count - len(tested) - len(trained)) > 0:
        tested = distinct(held_out, len(tested) + missing)
    return [formats.prompt_row(prompt) for prompt in (*trained, *tested)]


def sampling(project: Project) -> dict[str, Any]:
    """What a run that samples for the queue is asked for beside its preset."""
    return {"completions": CANDIDATES_PER_KEPT * project.k}


@dataclass(frozen=True)
class BestOf:
    """What is sampled a prompt where people get the best of n: `best` times n outputs, then `plain` ones."""

    n: int
    best: int
    plain: int

    @property
    def completions(self) -> int:
        return self.n * self.best + self.plain

    def chosen(self, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The best of each n, and after them the plain ones, drawn apart so that they are not what was left over."""
        of_each = [samples[at : at + self.n] for at in range(0, self.n * self.best, self.n)]
        best = [max(each, key=lambda sample: sample["reward"]) for each in of_each]
        return best + [sample | {"beside": True} for sample in samples[self.n * self.best :]]


def best_of(project: Project, *, n: int) -> BestOf:
    """Half of a set is the best of n, the other half as the same policy says it, so that people compare the two."""
    best = -(-project.k // 2)
    return BestOf(n=n, best=best, plain=CANDIDATES_PER_KEPT * (project.k - best))


def register_samples(run: TrainingRun) -> dict[str, int]:
    """Put what a run sampled in the queue: K distinct outputs a prompt, of all prompts or of those chosen among them.

    Counts of what came and what was dropped.
    """
    counts = {
        "items": 0,
        "completions": 0,
        "empty": 0,
        "equal": 0,
        "spare": 0,
        "prompts_with_too_few": 0,
        "withdrawn": 0,
    }
    voices = _voices(run)
    kept: dict[bool, list[NewCompletion]] = {beside: [] for beside in voices}
    there = Prompt.objects.in_bulk({row["id"] for row in _samples(run)})
    wanted = _wanted(run, there)
    for row in _samples(run):
        if row["id"] not in there:  # its author has taken it back since
            counts["withdrawn"] += 1
            continue
        if row["id"] not in wanted:
            continue
        chosen = _distinct_texts(row["completions"], k=run.project.k, counts=counts)
        if len(chosen) < 2:
            counts["prompts_with_too_few"] += 1
            continue
        for sample in chosen:
            kept[sample.get("beside", False)].append(
                NewCompletion(
                    prompt_id=row["id"], text=sample["text"], sampling=settings_of(run, sample), seed=sample["seed"]
                )
            )
    sets: dict[int, list[Completion]] = {}
    for beside, generator in voices.items():
        for completion in add_completions(generator, kept[beside]):
            sets.setdefault(completion.prompt_id, []).append(completion)
    items = add_ranking_items(
        run.project,
        [
            RankingSet(there[prompt], [completion.pk for completion in made], chosen_by=wanted[prompt])
            for prompt, made in sets.items()
        ],
    )
    counts |= {"items": len(items), "completions": sum(map(len, kept.values()))}
    if "choice" in run.inputs:
        by = Counter(item.chosen_by for item in items)
        counts |= {each.value: by[each] for each in (ChosenBy.LOT, ChosenBy.UNCERTAINTY, ChosenBy.COVERAGE)}
    return counts


def _wanted(run: TrainingRun, there: Mapping[int, Prompt]) -> dict[int, ChosenBy]:
    """The prompts whose outputs people get, and by what each was chosen. All of them, unless the run is to choose.

    Those that are held out are all wanted: they measure reward models, and are there by lot.
    """
    choice = run.inputs.get("choice")
    if choice is None:
        return dict.fromkeys(there, ChosenBy.NOBODY)
    candidates = []
    for row in _samples(run):
        prompt = there.get(row["id"])
        if prompt is not None and prompt.split == Split.TRAIN:
            shown = _distinct_texts(row["completions"], k=run.project.k, counts=Counter())
            if len(shown) > 1:
                rewards = [each["reward"] for each in shown if "reward" in each]
                candidates.append(Candidate(prompt.pk, (prompt.use_case, prompt.language), rewards))
    held_out = {pk: ChosenBy.LOT for pk, prompt in there.items() if prompt.split != Split.TRAIN}
    return held_out | choose(
        candidates,
        count=max(choice["count"] - len(held_out), 0),
        random_share=choice["random_share"],
        ranked=_sets_by_group(run.project),
        seed=choice["seed"],
    )


def _sets_by_group(project: Project) -> dict[Group, int]:
    """How many sets of outputs people were asked to rank so far, by use case and language."""
    sets = Item.objects.filter(project=project, kind=ItemKind.RANKING).exclude(prompt=None).order_by()
    counted = sets.values_list("prompt__use_case", "prompt__language").annotate(sets=Count("pk"))
    return {(use_case, language): count for use_case, language, count in counted}


def outputs_of(run: TrainingRun) -> Iterator[tuple[int, list[NewCompletion]]]:
    """What a run sampled, prompt by prompt in its order; an output that says nothing has no text."""
    for row in _samples(run):
        yield (
            row["id"],
            [
                NewCompletion(row["id"], sample["text"].strip(), settings_of(run, sample), sample["seed"])
                for sample in row["completions"]
            ],
        )


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


def distinct(prompts: QuerySet[Prompt], count: int) -> list[Prompt]:
    """The first `count` with different texts."""
    chosen: dict[str, Prompt] = {}
    for prompt in prompts.iterator(chunk_size=500):
        if len(chosen) >= count:
            break
        chosen.setdefault(prompt.digest, prompt)
    return list(chosen.values())


def _voices(run: TrainingRun) -> dict[bool, Generator]:
    """Who the outputs are by: the policy, and (True) the one beside it. The best of n are a generator of their own."""
    assert run.base is not None  # noqa: S101 - a sampling run has a policy
    if run.stage == Stage.BEST_OF_N:
        best = registry.best_of_generator(run.base, n=run.inputs["best_of"]["n"])
        return {False: best, True: run.base.generator}
    return {False: run.base.generator} | ({True: run.reference.generator} if run.reference else {})


def _samples(run: TrainingRun) -> Iterator[dict[str, Any]]:
    plan = BestOf(**run.inputs["best_of"]) if run.stage == Stage.BEST_OF_N else None
    with (run.folder / ("best_of_n.jsonl" if plan else "samples.jsonl")).open() as file:
        for line in file:
            row = json.loads(line)
            yield row | {"completions": plan.chosen(row["completions"])} if plan else row


def _distinct_texts(samples: list[dict[str, Any]], *, k: int, counts: MutableMapping[str, int]) -> list[dict[str, Any]]:
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


def settings_of(run: TrainingRun, sample: dict[str, Any]) -> dict[str, Any]:
    """What an output's row keeps of how it was sampled."""
    named = ("temperature", "top_k", "top_p", "max_new_tokens")
    is_best = run.stage == Stage.BEST_OF_N and not sample.get("beside")
    return {
        "run": run.pk,
        **({"best_of": run.inputs["best_of"]["n"]} if is_best else {}),
        **{name: run.hyperparameters[name] for name in named},
        **{name: sample[name] for name in ("logprob", "tokens", "finished", "reward") if name in sample},
    }
