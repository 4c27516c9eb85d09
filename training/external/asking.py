"""A request that prompts get outputs to rank: which prompts, by which generators, how many by each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import MD5, Concat
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.audit import record
from annotation.models import Generator, Item, ItemKind, Pool, Project, Prompt, Split, User
from annotation.models.projects import MAX_K, MIN_K
from annotation.refusals import Refused
from training import formats, runs
from training.auditing import Action
from training.external import settling
from training.external.problems import Problem
from training.messages import nudge
from training.models import (
    ExternalModel,
    OutputRequest,
    OutputState,
    Policy,
    RequestState,
    Stage,
    TrainingRun,
    WantedOutput,
    WantedSet,
)

MOST_PROMPTS = 10_000
FILTERS = ("languages", "use_cases")


def generators(project: Project) -> QuerySet[Generator]:
    """Those that can be asked: policies, and external models that were not removed."""
    can = Q(policy__isnull=False) | Q(external_model__removed_at=None, external_model__isnull=False)
    return Generator.objects.filter(can, project=project).order_by("-id")


def candidates(project: Project, *, filters: Mapping[str, Sequence[str]], seed: int = 0) -> QuerySet[Prompt]:
    """Prompts that were never put together with outputs to be ranked, in an order by chance that is the same each time.

    Rankings of those that feed the policy would train nobody, so none of them is among these.
    """
    sets = Item.objects.filter(prompt=OuterRef("pk"), kind=ItemKind.RANKING)
    asked = WantedSet.objects.filter(prompt=OuterRef("pk"), settled_at=None)
    found = Prompt.objects.usable().filter(~Exists(sets), ~Exists(asked), project=project)
    found = found.exclude(split=Split.TRAIN, pool=Pool.POLICY)
    if languages := filters.get("languages"):
        found = found.filter(language__in=languages)
    if use_cases := filters.get("use_cases"):
        found = found.filter(use_case__in=use_cases)
    return found.annotate(lot=MD5(Concat(Value(f"{seed}:"), "digest"))).order_by("lot", "id")


def ask(
    project: Project,
    *,
    by: User,
    generators: Sequence[Generator],
    prompts: int | None = None,
    k: int | None = None,
    filters: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> OutputRequest:
    """Have `prompts` prompts (None: all that there are) get K outputs, as evenly from the generators as K allows."""
    k = k or project.k
    _check(project, generators, k)
    chosen = {name: list(values) for name, values in (filters or {}).items() if name in FILTERS and values}
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # two at once would ask for the same prompts
        texts = _distinct(candidates(project, filters=chosen, seed=seed), count=prompts)
        if not texts:
            raise Refused(_("No prompt is left that this asks for: each has outputs to rank, or will have."))
        request = OutputRequest.objects.create(project=project, k=k, seed=seed, filters=chosen, created_by=by)
        request.generators.set(generators)
        sets = WantedSet.objects.bulk_create([WantedSet(request=request, prompt=prompt) for prompt in texts])
        WantedOutput.objects.bulk_create(
            [
                WantedOutput(set=wanted, generator=generator, number=number)
                for place, wanted in enumerate(sets)
                for generator, number in shared_out(generators, k=k, place=place)
            ],
            batch_size=5_000,
        )
        for generator in generators:
            _send(request, generator, texts, by=by)
        record(
            Action.OUTPUTS_ASKED, actor=by, project=project, request=request.pk, prompts=len(texts), k=k,
            generators=", ".join(each.name for each in generators),
        )  # fmt: skip
    return request


def cancel(request: OutputRequest, *, by: User) -> None:
    """Ask for no more. Where two outputs of a prompt have come, people rank those."""
    with transaction.atomic():
        running = OutputRequest.objects.filter(pk=request.pk, state=RequestState.RUNNING)
        if not running.update(state=RequestState.CANCELLED, finished_at=timezone.now()):
            raise Refused(_("This request has ended; there is nothing to cancel."))
        record(Action.OUTPUTS_CANCELLED, actor=by, project=request.project, request=request.pk)
        settling.give_up(WantedOutput.objects.filter(set__request=request), Problem.CANCELLED)
        for run in TrainingRun.objects.active().filter(inputs__outputs=request.pk):
            with suppress(runs.RunRefused):  # it ended just now
                runs.cancel(run)
    settling.settle(request)


def shared_out(generators: Sequence[Generator], *, k: int, place: int) -> Iterator[tuple[Generator, int]]:
    """Who gives each of the K outputs, by turns; who begins, and so gives more, changes from prompt to prompt."""
    given: Counter[int] = Counter()
    for turn in range(k):
        generator = generators[(place + turn) % len(generators)]
        yield generator, given[generator.pk]
        given[generator.pk] += 1


def _check(project: Project, chosen: Sequence[Generator], k: int) -> None:
    known = set(generators(project).values_list("pk", flat=True))
    if not chosen or any(each.pk not in known for each in chosen):
        raise Refused(_("Choose who answers: policies or external models of this project."))
    if not MIN_K <= k <= MAX_K or len(chosen) > k:
        raise Refused(
            _("%(count)d generators can't give %(k)d outputs: expected %(least)d to %(most)d, one by each at least.")
            % {"k": k, "count": len(chosen), "least": MIN_K, "most": MAX_K}
        )


def _distinct(prompts: QuerySet[Prompt], *, count: int | None) -> list[Prompt]:
    """The first `count` with different texts."""
    chosen: dict[str, Prompt] = {}
    wanted = min(count or MOST_PROMPTS, MOST_PROMPTS)
    for prompt in prompts.iterator(chunk_size=500):
        if len(chosen) >= wanted:
            break
        chosen.setdefault(prompt.digest, prompt)
    return list(chosen.values())


def _send(request: OutputRequest, generator: Generator, prompts: Sequence[Prompt], *, by: User) -> None:
    """A policy answers all prompts in a run of its own; an external model is asked one question at a time."""
    external = ExternalModel.objects.filter(generator=generator).first()
    if external is not None:
        nudge("ask_external", external.pk)
        return
    policy = Policy.objects.get(generator=generator)
    each = -(-request.k // request.generators.count())
    inputs: dict[str, Any] = {"queue": False, "outputs": request.pk}
    inputs["prompts"] = [formats.prompt_row(prompt) for prompt in prompts]
    runs.create(
        request.project, stage=Stage.SAMPLE, user=by, base=policy, inputs=inputs,
        values={"completions": each, "seed": request.seed},
    )  # fmt: skip


def progress(request: OutputRequest) -> dict[str, Any]:
    """How many outputs came, failed and wait, by generator, and how many sets are in the queue."""
    rows = WantedOutput.objects.filter(set__request=request).values_list("generator__name", "state")
    counted: dict[str, Counter[str]] = {}
    for name, state in rows:
        counted.setdefault(name, Counter())[state] += 1
    by_generator = [
        {"name": name, **{str(state): counts[state] for state in OutputState}} for name, counts in counted.items()
    ]
    sets = request.sets.all()
    total = {str(state): sum(counts[state] for counts in counted.values()) for state in OutputState}
    return {
        **total,
        "outputs": sum(total.values()),
        "prompts": sets.count(),
        "settled": sets.exclude(settled_at=None).count(),
        "queued": sets.exclude(item=None).count(),
        "by_generator": by_generator,
    }
