"""Outputs that have come, or never will: kept once each, and put in the queue when the last of a set is settled."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotation.adding import NewCompletion, RankingSet, add_completions, add_ranking_items
from annotation.models.projects import MIN_K
from training import generation
from training.external.problems import Problem
from training.messages import nudge
from training.models import (
    FINAL_STATES,
    OutputRequest,
    OutputState,
    RequestState,
    RunState,
    TrainingRun,
    WantedOutput,
    WantedSet,
)


def keep(wanted: WantedOutput, new: NewCompletion) -> bool:
    """Keep an answer, unless there is one already or nobody wants it any more; whoever comes second changes nothing."""
    with transaction.atomic():
        still = WantedOutput.objects.select_for_update(of=("self",)).filter(pk=wanted.pk, state=OutputState.WAITING)
        if not still:
            return False
        [completion] = add_completions(wanted.generator, [new])
        still.update(state=OutputState.DONE, completion=completion, problem="", detail="")
    settle_set(wanted.set_id)
    return True


def give_up(outputs: QuerySet[WantedOutput], problem: Problem, detail: str = "") -> None:
    """Of these, those that still wait will not come. Whoever calls settles what they belong to."""
    outputs.filter(state=OutputState.WAITING).update(state=OutputState.FAILED, problem=problem, detail=detail)


def take_samples(run_id: int) -> None:
    """Keep what a policy sampled for a request: as many outputs as are wanted of it. Done twice it changes nothing."""
    run = TrainingRun.objects.select_related("base").get(pk=run_id, state=RunState.SUCCEEDED)
    assert run.base is not None  # noqa: S101 - a sampling run has a policy
    mine = WantedOutput.objects.filter(set__request=run.inputs["outputs"], generator=run.base.generator_id)
    for prompt, said in generation.outputs_of(run):
        rows = mine.filter(set__prompt=prompt).select_related("generator").order_by("number")
        for wanted, new in zip(rows, said, strict=False):
            if new.text:
                keep(wanted, new)
            else:
                give_up(mine.filter(pk=wanted.pk), Problem.EMPTY)
    give_up(mine, Problem.RUN_ENDED)  # where it said less than was asked of it
    settle(OutputRequest.objects.get(pk=run.inputs["outputs"]))


def settle(request: OutputRequest) -> None:
    """Put in the queue what is complete, and end the request where all is."""
    waiting = WantedOutput.objects.filter(set=OuterRef("pk"), state=OutputState.WAITING)
    for pk in request.sets.filter(~Exists(waiting), settled_at=None).values_list("pk", flat=True):
        settle_set(pk)
    _end(request.pk)


def settle_set(set_id: int) -> None:
    """Once the last output has come or failed: a set of those that came. Two at once make one."""
    with transaction.atomic():
        open_sets = WantedSet.objects.select_for_update(of=("self",)).select_related("request__project", "prompt")
        wanted = open_sets.filter(pk=set_id, settled_at=None).first()
        if wanted is None or wanted.outputs.filter(state=OutputState.WAITING).exists():
            return
        came = wanted.outputs.exclude(completion=None).order_by("number", "generator")
        wanted.item_id = _queued(wanted, list(came.values_list("completion", flat=True)))
        wanted.settled_at = timezone.now()
        wanted.save(update_fields=["item", "settled_at"])
        request = wanted.request_id
    _end(request)


def sweep() -> None:
    """Take what runs brought, give up what those that ended badly were to bring, settle what a dead worker left."""
    open_sets = WantedSet.objects.filter(request=OuterRef("pk"), settled_at=None)
    for request in OutputRequest.objects.filter(Exists(open_sets) | Q(state=RequestState.RUNNING)):
        for run in TrainingRun.objects.filter(inputs__outputs=request.pk, state__in=FINAL_STATES):
            waiting = WantedOutput.objects.filter(set__request=request, generator__policy=run.base_id)
            if run.state != RunState.SUCCEEDED:
                give_up(waiting, Problem.RUN_ENDED)
            elif waiting.filter(state=OutputState.WAITING).exists():
                nudge("take_outputs", run.pk)
        settle(request)


def _queued(wanted: WantedSet, completions: Sequence[int]) -> int | None:
    """The item that shows them; none where fewer than two are left to show."""
    if len(completions) < MIN_K:
        return None
    items = add_ranking_items(wanted.request.project, [RankingSet(wanted.prompt, completions)])
    return items[0].pk if items else None


def _end(request_id: int) -> None:
    open_sets = WantedSet.objects.filter(request=OuterRef("pk"), settled_at=None)
    running = OutputRequest.objects.filter(~Exists(open_sets), pk=request_id, state=RequestState.RUNNING)
    running.update(state=RequestState.DONE, finished_at=timezone.now())
