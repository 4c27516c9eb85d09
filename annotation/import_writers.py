"""Writing imported rows: prompts, completions and records that are there already are used again, not made twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db.models import Max
from django.utils import timezone

from annotation.adding import NewPrompt, RankingSet, add_prompts, add_ranking_items
from annotation.copying import copied
from annotation.exporting import signature
from annotation.giveaways import giveaway
from annotation.import_rows import ImportedPrompt, ImportedRow
from annotation.models import Completion, Demonstration, Generator, GeneratorKind, Item, Project, Prompt, Ranking, User

CompletionKey = tuple[int, int, str]


class Prompts(NamedTuple):
    """Each row's prompt; those of them that were there before; how many had to be made."""

    of_rows: list[Prompt]
    before: list[Prompt]
    added: int


class Writer:
    """Writes batches into one project, for one import."""

    def __init__(self, project: Project, *, user: User) -> None:
        self.project = project
        self.user = user
        self.last_ranking = Ranking.objects.aggregate(last=Max("pk"))["last"] or 0

    def write(self, kind: str, rows: Sequence[ImportedRow]) -> int:
        """How many of the rows were new."""
        writers: dict[str, Callable[[Sequence[ImportedRow]], int]] = {
            "instructions": self._instructions,
            "demonstrations": self._demonstrations,
            "completions": self._outputs,
            "rankings": self._rankings,
        }
        return writers[kind](rows)

    def _instructions(self, rows: Sequence[ImportedRow]) -> int:
        """Equal instructions are one, unless the file tells them apart by their authors or times."""
        known = self._known(rows)
        alike: dict[str, list[ImportedRow]] = defaultdict(list)
        fresh: list[NewPrompt] = []
        for row in rows:
            further_up = alike[row.prompt.digest]
            if not self._fitting(row, known) and not any(_repeats(row, other) for other in further_up):
                further_up.append(row)
                fresh.append(self._new(row.prompt, row))
        for prompt in add_prompts(self.project, fresh):
            known[prompt.digest].append(prompt)
        self._mark_harmful([self._fitting(row, known)[0] for row in rows if row.harmful])
        return len(fresh)

    def _demonstrations(self, rows: Sequence[ImportedRow]) -> int:
        """Equal answers are one, unless the file tells them apart by their authors or times."""
        prompts, before, _added = self._prompts(rows)
        there: dict[tuple[str, str], list[Demonstration]] = defaultdict(list)
        for each in Demonstration.objects.filter(prompt__in=before).select_related("prompt"):
            there[each.prompt.digest, each.text].append(each)
        new: list[Demonstration] = []
        for prompt, row in zip(prompts, rows, strict=True):
            alike = there[prompt.digest, row.text]
            if not any(_same(row.prompt, each.prompt) and self._may_be(row, each) for each in alike):
                new.append(
                    Demonstration(
                        prompt=prompt, text=row.text, review=row.review, created_at=row.created_at or timezone.now(),
                        origin=_origin(row),
                    )
                )  # fmt: skip
                alike.append(new[-1])
        return len(copied(new))

    def _outputs(self, rows: Sequence[ImportedRow]) -> int:
        """A row's mark as possibly harmful is the set's here; elsewhere it is the prompt's."""
        prompts, before, _added = self._prompts(rows, marking=False)
        ids = self._completions(prompts, before, rows)
        sets = [RankingSet(prompt, chosen, row.harmful) for prompt, chosen, row in zip(prompts, ids, rows, strict=True)]
        waiting = {
            (item.prompt_id, frozenset([*item.completions, *map(int, item.twins), *item.held]))
            for item in self.project.items.filter(prompt__in=before)
        }
        new = {(each.prompt.pk, frozenset(each.completion_ids)): each for each in sets}
        fresh = [each for key, each in new.items() if key not in waiting]
        return len(add_ranking_items(self.project, fresh))

    def _rankings(self, rows: Sequence[ImportedRow]) -> int:
        """Equal rankings in one file are several people's; equal to one that was there before, it is the same again."""
        prompts, before, _added = self._prompts(rows)
        ids = self._completions(prompts, before, rows)
        earlier = Ranking.objects.filter(prompt__in=before, pk__lte=self.last_ranking)
        there = {_identity(self.project, ranking) for ranking in earlier}
        made = [_ranking(prompt, row, chosen) for prompt, row, chosen in zip(prompts, rows, ids, strict=True)]
        new = [ranking for ranking in made if _identity(self.project, ranking) not in there]
        return len(copied(new))

    def _fitting(self, row: ImportedRow, known: dict[str, list[Prompt]]) -> list[Prompt]:
        """The prompts that an instruction of a file may be. One of which nobody knows whose it is fits any: it came
        with answers or rankings, or in a file that said nothing of it.
        """
        return [
            prompt
            for prompt in _matching(row.prompt, known)
            if (prompt.author_id is None and not prompt.origin) or self._may_be(row, prompt)
        ]

    def _may_be(self, row: ImportedRow, record: Prompt | Demonstration) -> bool:
        """As far as author and time go. What the file does not name fits any."""
        by = not row.annotator or row.annotator == signature(self.project, record)
        return by and row.created_at in (None, record.created_at)

    def _known(self, rows: Sequence[ImportedRow]) -> dict[str, list[Prompt]]:
        """The project's prompts with the words of these rows, by digest."""
        known: dict[str, list[Prompt]] = defaultdict(list)
        for prompt in Prompt.objects.filter(project=self.project, digest__in={row.prompt.digest for row in rows}):
            known[prompt.digest].append(prompt)
        return known

    def _prompts(self, rows: Sequence[ImportedRow], *, marking: bool = True) -> Prompts:
        known = self._known(rows)
        before = [prompt for alike in known.values() for prompt in alike]
        missing: dict[str, list[ImportedPrompt]] = defaultdict(list)
        for row in rows:
            alike = missing[row.prompt.digest]
            if not _matching(row.prompt, known) and not any(_same(row.prompt, other) for other in alike):
                alike.append(row.prompt)
        new = [self._new(each) for alike in missing.values() for each in alike]
        for prompt in add_prompts(self.project, new, with_items=False):
            known[prompt.digest].append(prompt)
        prompts = [_found(row.prompt, known) for row in rows]
        if marking:
            self._mark_harmful([prompt for prompt, row in zip(prompts, rows, strict=True) if row.harmful])
        return Prompts(prompts, before, len(new))

    def _mark_harmful(self, prompts: Sequence[Prompt]) -> None:
        """What waits of a prompt is marked with it, whenever the mark came."""
        if marked := {prompt.pk for prompt in prompts}:
            Prompt.objects.filter(pk__in=marked).update(harmful=True)
            Item.objects.filter(prompt__in=marked).update(harmful=True)
        for prompt in prompts:
            prompt.harmful = True

    def _new(self, prompt: ImportedPrompt, row: ImportedRow | None = None) -> NewPrompt:
        """`row`: the instruction's own, which says when it was written, by whom and what review thought of it."""
        given: dict[str, Any] = {
            "kind": prompt.kind, "use_case": prompt.use_case, "split": prompt.split, "digest": prompt.digest,
        }  # fmt: skip
        if row is not None:
            origin = _origin(row) | ({"dated": True} if row.created_at else {})
            given |= {"review": row.review, "created_at": row.created_at, "origin": origin}
        language = prompt.language or self.project.languages[0]
        return NewPrompt(prompt.messages, language=language, **{k: v for k, v in given.items() if v})

    def _completions(
        self, prompts: Sequence[Prompt], before: Sequence[Prompt], rows: Sequence[ImportedRow]
    ) -> list[list[int]]:
        """The ids of each row's completions, in its order."""
        generators = self._generators({each.model for row in rows for each in row.completions})
        there = Completion.objects.filter(prompt__in=before, generator__in=generators.values())
        known = {(each.prompt_id, each.generator_id, each.text): each for each in there}
        keys: list[list[CompletionKey]] = []
        new: dict[CompletionKey, Completion] = {}
        for prompt, row in zip(prompts, rows, strict=True):
            keys.append([(prompt.pk, generators[each.model].pk, each.text) for each in row.completions])
            for key, each in zip(keys[-1], row.completions, strict=True):
                if key not in known:
                    new[key] = Completion(
                        prompt_id=key[0], generator_id=key[1], text=key[2],
                        giveaway=giveaway(key[2], generator=each.model),
                    )  # fmt: skip
        copied(new.values())
        known |= new
        return [[known[key].pk for key in of_row] for of_row in keys]

    def _generators(self, names: set[str]) -> dict[str, Generator]:
        proposed = [Generator(project=self.project, kind=GeneratorKind.EXTERNAL, name=name) for name in sorted(names)]
        Generator.objects.bulk_create(proposed, ignore_conflicts=True)
        return {each.name: each for each in Generator.objects.filter(project=self.project, name__in=names)}


def _ranking(prompt: Prompt, row: ImportedRow, ids: Sequence[int]) -> Ranking:
    by_rank: dict[float, list[int]] = defaultdict(list)
    for completion, each in zip(ids, row.completions, strict=True):
        by_rank[each.rank].append(completion)
    pairs = list(zip(map(str, ids), row.completions, strict=True))
    return Ranking(
        prompt=prompt, groups=[sorted(by_rank[rank]) for rank in sorted(by_rank)], shown=list(ids),
        ratings={pk: each.rating for pk, each in pairs if each.rating is not None},
        flags={pk: each.flags for pk, each in pairs if each.flags},
        acceptable=row.acceptable, note=row.note, seconds=row.seconds, review=row.review,
        created_at=row.created_at or timezone.now(), origin=_origin(row),
    )  # fmt: skip


def _identity(project: Project, ranking: Ranking) -> tuple[object, ...]:
    """What makes an imported ranking the same as one that is there."""
    who = signature(project, ranking)
    order = (*ranking.shown, *map(int, ranking.twins))
    ranks = ranking.ranks_with_twins()
    return ranking.prompt_id, order, tuple(ranks[each] for each in order), who, ranking.note, ranking.seconds


def _origin(row: ImportedRow) -> dict[str, object]:
    """What the file says of a record that no column of ours has."""
    origin = {"annotator": row.annotator, "guidelines": row.guidelines}
    return {name: value for name, value in origin.items() if value}


def _repeats(row: ImportedRow, other: ImportedRow) -> bool:
    """Whether an instruction is one that stands further up in the file. What it does not name is the same."""
    by = not row.annotator or row.annotator == other.annotator
    return by and row.created_at in (None, other.created_at) and _same(row.prompt, other.prompt)


def _found(wanted: ImportedPrompt, known: dict[str, list[Prompt]]) -> Prompt:
    return _matching(wanted, known)[0]


def _matching(wanted: ImportedPrompt, known: dict[str, list[Prompt]]) -> list[Prompt]:
    return [prompt for prompt in known.get(wanted.digest, []) if _same(wanted, prompt)]


def _same(wanted: ImportedPrompt, other: Prompt | ImportedPrompt) -> bool:
    """The same words and nothing in the way: an attribute that the file does not name matches any."""
    attributes = ((wanted.kind, other.kind), (wanted.use_case, other.use_case), (wanted.language, other.language))
    return wanted.messages == other.messages and all(asked in (None, found) for asked, found in attributes)
