"""Texts that people or machines add, one or many thousands at once, and the pieces of work that follow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.copying import copied
from annotation.giveaways import giveaway
from annotation.likeness import all_bands, bands_of
from annotation.models import (
    Assignment,
    Completion,
    Generator,
    Item,
    ItemKind,
    Project,
    Prompt,
    PromptKind,
    ReviewState,
    Split,
    UseCase,
    User,
    Wording,
)
from annotation.models.projects import MAX_K, MIN_K
from annotation.models.texts import Message
from annotation.refusals import Refused
from annotation.wording import cleaned_messages, digest_of, pool_for, split_for, storable

BATCH = 1_000
KINDS, USE_CASES = tuple(PromptKind.values), tuple(UseCase.values)

# The first with a text settles its split and pool; whoever comes second is told what they are. No constraint is named,
# for the table has two that they can meet at, and naming one of them makes an error of the other.
SETTLE = """
insert into annotation_wording (project_id, digest, split, pool)
select %s, proposed.* from unnest(%s::text[], %s::text[], %s::text[]) proposed
on conflict do nothing returning digest, split, pool
"""

Settled = tuple[str, str]  # split and pool

Row = TypeVar("Row")


class NewPrompt(NamedTuple):
    """`split`: only for a text that comes from elsewhere with one of its own; `digest`: of messages clean already;
    `review`, `created_at` and `origin`: of one that came in a file.
    """

    messages: Sequence[Message]
    kind: str = PromptKind.PLAIN
    use_case: str = UseCase.OTHER
    language: str = "en"
    author: User | None = None
    assignment: Assignment | None = None
    split: Split | None = None
    harmful: bool = False
    digest: str = ""
    review: str = ReviewState.PENDING
    created_at: datetime | None = None
    origin: Mapping[str, Any] = {}


class NewCompletion(NamedTuple):
    prompt_id: int
    text: str
    sampling: dict[str, Any]
    seed: int | None = None


class RankingSet(NamedTuple):
    """`harmful`: only for those who agreed to see such things, as is every set of a prompt that is marked so.

    `chosen_by`: how it came to be asked for and not another, a ChosenBy.
    """

    prompt: Prompt
    completion_ids: Sequence[int]
    harmful: bool = False
    chosen_by: str = ""


def add_prompt(
    project: Project, *, author: User | None, messages: Sequence[Message], kind: str, use_case: str, language: str,
    assignment: Assignment | None = None, harmful: bool = False,
) -> Prompt:  # fmt: skip
    """Keep an instruction, and ask for answers to it where the project wants them."""
    new = NewPrompt(messages, kind, use_case, language, author, assignment, harmful=harmful)
    return add_prompts(project, [new])[0]


@transaction.atomic
def add_prompts(project: Project, rows: Sequence[NewPrompt], *, with_items: bool = True) -> list[Prompt]:
    """Keep instructions, a few thousand at most, and ask for answers to them where the project wants them.

    A text that the project has already keeps its split and pool. The wording's unique row makes that hold between
    transactions too: who comes second waits for the first and reads what it settled.
    """
    prompts = [_prompt(project, row) for row in rows]
    settled = _settled(project, prompts)
    for prompt, bands in zip(prompts, all_bands([prompt.messages for prompt in prompts]), strict=True):
        prompt.split, prompt.pool = settled[prompt.digest]
        prompt.bands = bands
    copied(prompts)
    if with_items and project.demonstrations_per_prompt:
        usable = (prompt for prompt in prompts if prompt.review != ReviewState.REJECTED)
        copied(_demonstration_item(project, prompt) for prompt in usable)
    return prompts


def reword(prompt: Prompt, content: Mapping[str, Any]) -> None:
    """Give an instruction that nobody has worked on other words, or another kind, use case or language. Not saved."""
    new = _prompt(prompt.project, NewPrompt(**content, author=prompt.author))
    for name in ("messages", "kind", "use_case", "language", "digest"):
        setattr(prompt, name, getattr(new, name))
    prompt.bands = bands_of(new.messages)
    prompt.split, prompt.pool = _settled(prompt.project, [new])[new.digest]
    Item.objects.filter(prompt=prompt).update(language=prompt.language)


def add_completions(generator: Generator, rows: Iterable[NewCompletion]) -> list[Completion]:
    """Keep a generator's answers, in the order given. Many at once: two statements a thousand.

    Those that say who wrote them are kept but held: no set shows them until an admin allows it (`allow`).
    """
    added: list[Completion] = []
    with transaction.atomic():
        for batch in batched(rows, BATCH):
            asked = {row.prompt_id for row in batch}
            known = Prompt.objects.filter(project=generator.project_id, pk__in=asked).values_list("pk", flat=True)
            if missing := asked.difference(known):
                raise Refused(
                    _("The generator's project has no prompt %(missing)s.")
                    % {"missing": ", ".join(map(str, sorted(missing)[:5]))}
                )
            added += copied(
                Completion(
                    generator=generator, prompt_id=row.prompt_id, text=storable(row.text),
                    sampling=row.sampling, seed=row.seed, giveaway=giveaway(row.text, generator=generator.name),
                )
                for row in batch
            )  # fmt: skip
    return added


def add_ranking_items(
    project: Project,
    sets: Iterable[RankingSet],
    *,
    priority: int = 0,
    overlap: int | None = None,
    sealed: bool = False,
) -> list[Item]:
    """Put sets of outputs in the ranking queue, each of one prompt.

    Of equal texts one is shown, and the others take its rank. Outputs that say who wrote them are held out. A set of
    which fewer than two are left to show makes no item. What is ranked of `sealed` ones stays out of every figure and
    dataset until they are unsealed.
    """
    added: list[Item] = []
    with transaction.atomic():
        for batch in batched(sets, BATCH):
            known = _checked_sets(project, batch)
            added += copied(
                Item(
                    project=project, kind=ItemKind.RANKING, prompt=prompt, **members, author_id=prompt.author_id,
                    language=prompt.language, priority=priority, overlap=annotators,
                    open_slots=list(range(1, annotators + 1)), harmful=harmful or prompt.harmful, chosen_by=chosen_by,
                    sealed=sealed,
                )
                for prompt, completion_ids, harmful, chosen_by in batch
                for annotators in [_overlap(project, prompt) if overlap is None else overlap]
                if len((members := _members([known[pk] for pk in completion_ids]))["completions"]) >= MIN_K
            )  # fmt: skip
    return added


@transaction.atomic
def allow(completion: Completion, *, by: User) -> None:
    """Have an output ranked although it says who wrote it: in its sets where nobody has begun, else in new ones."""
    held = Completion.objects.held().filter(pk=completion.pk)
    if not held.update(allowed_at=Now(), allowed_by=by):
        return
    items = Item.objects.select_for_update().filter(prompt=completion.prompt_id, held__contains=[completion.pk])
    for item in items:
        members = [*item.completions, *map(int, item.twins), *item.held]
        if item.assignments.exists():
            again = RankingSet(item.asked, members, harmful=item.harmful, chosen_by=item.chosen_by)
            add_ranking_items(item.project, [again], priority=item.priority, overlap=item.overlap)
        else:
            there = Completion.objects.in_bulk(members)
            Item.objects.filter(pk=item.pk).update(**_members([there[pk] for pk in members]))
    if not items:
        _first_set(completion)


def _first_set(completion: Completion) -> None:
    """The set that was never made because too few of its outputs could be shown."""
    prompt = completion.prompt
    used: set[int] = set()
    for item in Item.objects.filter(prompt=prompt, kind=ItemKind.RANKING):
        used.update(item.completions, map(int, item.twins))
    left = prompt.completions.exclude(pk__in=used).values_list("pk", flat=True)[:MAX_K]
    if len(left) >= MIN_K:
        add_ranking_items(prompt.project, [RankingSet(prompt, list(left))])


def _overlap(project: Project, prompt: Prompt) -> int:
    """More for a fixed share of the texts, read from a part of the digest that tells neither split nor pool."""
    is_wide = int(prompt.digest[20:35], 16) % 100 < project.wide_percent
    return project.wide_overlap if is_wide else project.overlap


def _members(completions: Sequence[Completion]) -> dict[str, Any]:
    """What an item says of a set: the outputs it shows, the twins they stand for, those held out."""
    shown: dict[str, int] = {}
    twins: dict[str, int] = {}
    held = [each.pk for each in completions if each.is_held]
    for each in completions:
        if not each.is_held and shown.setdefault(each.text.strip(), each.pk) != each.pk:
            twins[str(each.pk)] = shown[each.text.strip()]
    return {"completions": list(shown.values()), "twins": twins, "held": held}


def batched(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def _prompt(project: Project, row: NewPrompt) -> Prompt:
    """As it will be kept, but for the bands, and for the split and pool where the text has them already."""
    _check_choice(gettext_lazy("kind"), row.kind, KINDS)
    _check_choice(gettext_lazy("use case"), row.use_case, USE_CASES)
    _check_choice(gettext_lazy("language"), row.language, project.languages)
    clean = row.messages if row.digest else cleaned_messages(row.messages, longest=project.max_prompt_characters)
    messages, digest = list(clean), row.digest or digest_of(clean)
    return Prompt(
        project_id=project.pk, author=row.author, messages=messages, kind=row.kind, use_case=row.use_case,
        language=row.language, assignment=row.assignment, digest=digest, pool=pool_for(digest), harmful=row.harmful,
        split=row.split or split_for(project.pk, row.author.pk if row.author else None, digest),
        review=row.review, created_at=row.created_at or timezone.now(), origin=dict(row.origin),
    )  # fmt: skip


def _settled(project: Project, prompts: Sequence[Prompt]) -> dict[str, Settled]:
    """Split and pool of each text. Sorted, so that two such inserts never wait for each other in a ring."""
    proposed = {prompt.digest: (str(prompt.split), str(prompt.pool)) for prompt in reversed(prompts)}
    digests = sorted(proposed)
    splits, pools = ([proposed[digest][place] for digest in digests] for place in (0, 1))
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, [project.pk, digests, splits, pools])
        settled = {digest: (split, pool) for digest, split, pool in cursor.fetchall()}
    if before := proposed.keys() - settled.keys():
        wordings = Wording.objects.filter(project=project, digest__in=before)
        settled |= {wording.digest: (wording.split, wording.pool) for wording in wordings}
    return settled


def _demonstration_item(project: Project, prompt: Prompt) -> Item:
    overlap = project.demonstrations_per_prompt
    return Item(
        project=project, kind=ItemKind.DEMONSTRATION, prompt=prompt, author_id=prompt.author_id,
        language=prompt.language, overlap=overlap, open_slots=list(range(1, overlap + 1)), harmful=prompt.harmful,
    )  # fmt: skip


def _check_choice(name: Any, found: str, expected: Collection[str]) -> None:
    if found not in expected:
        raise Refused(
            _("The %(name)s is %(found)r; expected one of %(expected)s.")
            % {"name": name, "found": found, "expected": ", ".join(expected)}
        )


def _checked_sets(project: Project, sets: Sequence[RankingSet]) -> dict[int, Completion]:
    wanted = [completion for each in sets for completion in each.completion_ids]
    known = Completion.objects.filter(prompt__project=project).defer("sampling").in_bulk(wanted)
    for prompt, completion_ids, _harmful, _chosen_by in sets:
        if not MIN_K <= len(completion_ids) <= MAX_K:
            raise Refused(
                _("A set for prompt %(prompt)d has %(found)d outputs; expected %(least)d to %(most)d.")
                % {"prompt": prompt.pk, "found": len(completion_ids), "least": MIN_K, "most": MAX_K}
            )
        if any(pk not in known or known[pk].prompt_id != prompt.pk for pk in completion_ids):
            raise Refused(_("A set for prompt %(prompt)d has an output of another prompt.") % {"prompt": prompt.pk})
        if len(set(completion_ids)) < len(completion_ids):
            raise Refused(_("A set for prompt %(prompt)d has an output twice.") % {"prompt": prompt.pk})
    return known
