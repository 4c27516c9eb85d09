"""External models asked what is wanted of them, by one worker at a time each, at the pace that they allow.

The row says what is wanted and a message only nudges. A call that a worker died in is made again, and its answer is
kept once.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from annotation.adding import NewCompletion
from training.alone import alone
from training.external import chat, settling
from training.external.problems import HOPELESS, PASSING, EndpointError, Problem
from training.messages import nudge
from training.models import ExternalModel, OutputState, RequestState, WantedOutput

log = logging.getLogger(__name__)

LOCKS = 1_886_745_955  # the class of our advisory locks, so that they meet nobody else's
WORK_SECONDS = 10.0  # then the worker sees to others, and comes back
MOST_TRIES = 5
FIRST_WAIT = 10.0
LONGEST_WAIT = 600.0
HELLO = [{"role": "user", "content": "Say hello."}]


def work(model_id: int, *, seconds: float = WORK_SECONDS) -> None:
    """Ask for what is wanted until nothing is, it has to wait, or the time is up."""
    with alone(LOCKS, model_id) as here:
        until = time.monotonic() + seconds
        while here and (model := _due(model_id)) is not None:
            if time.monotonic() >= until:
                nudge("ask_external", model_id)
                return
            if not _take_turn(model, until=until):
                return
            _one_call(model)


def sweep() -> None:
    """Remind the workers of what waits: a message was lost, a worker died, or it was too early."""
    waiting = WantedOutput.objects.filter(state=OutputState.WAITING).values("generator")
    due = Q(stopped=False) & (Q(generator__in=waiting) | Q(checked_at=None, removed_at=None))
    due |= Q(generator__in=waiting) & ~Q(removed_at=None)
    for pk in ExternalModel.objects.filter(due).values_list("pk", flat=True):
        nudge("ask_external", pk)
    settling.sweep()


def _due(model_id: int) -> ExternalModel | None:
    """The model as it is now, if there is something to ask of it. One that was removed gives up what waits."""
    model = ExternalModel.objects.select_related("project", "generator").get(pk=model_id)
    if model.removed_at is not None:
        waiting = _waiting(model)
        sets = list(waiting.values_list("set", flat=True).distinct())
        settling.give_up(waiting, Problem.REMOVED)
        for each in sets:
            settling.settle_set(each)
        return None
    if model.stopped:
        return None
    return model if model.checked_at is None or _waiting(model).exists() else None


def _waiting(model: ExternalModel) -> QuerySet[WantedOutput]:
    found = WantedOutput.objects.filter(generator=model.generator_id, state=OutputState.WAITING)
    return found.filter(set__request__state=RequestState.RUNNING)


def _take_turn(model: ExternalModel, *, until: float) -> bool:
    """Wait for the next call that the pace allows, unless that is not due before the worker's time is up."""
    wait = (model.next_call_at - timezone.now()).total_seconds()
    if wait > until - time.monotonic():
        return False
    time.sleep(max(0.0, wait))
    pause = timedelta(seconds=60 / model.per_minute)
    ExternalModel.objects.filter(pk=model.pk).update(next_call_at=timezone.now() + pause)
    return True


def _one_call(model: ExternalModel) -> None:
    """The first call, or else the next output that is wanted. Nothing of the database is held meanwhile."""
    wanted = None
    if model.checked_at is not None:
        rows = _waiting(model).select_related("set__prompt", "set__request", "generator")
        wanted = rows.order_by("tries", "id").first()
        if wanted is None:
            return
    messages = wanted.set.prompt.messages if wanted else HELLO
    seed = wanted.set.request.seed + wanted.number if wanted else 0
    try:
        answer = chat.ask(model, messages, seed=seed)
    except EndpointError as error:
        _note(model, error, tries=wanted.tries if wanted else 0)
        if wanted is not None:
            _failed(wanted, error)
        return
    _unchanged(model).update(checked_at=timezone.now(), problem="", detail="")
    if wanted is not None:
        about = {"request": wanted.set.request_id, **answer.about}
        settling.keep(wanted, NewCompletion(wanted.set.prompt_id, answer.text, about, answer.seed))


def _note(model: ExternalModel, error: EndpointError, *, tries: int) -> None:
    """What its page says of it; whether it is left alone for a while, or until somebody has changed something."""
    log.warning("External model %s: %s", model.pk, error.problem)
    told: dict[str, object] = {"problem": error.problem, "detail": error.detail, "checked_at": timezone.now()}
    told["stopped"] = error.problem in HOPELESS
    if error.problem in PASSING:
        wait = max(error.wait, min(FIRST_WAIT * 2**tries, LONGEST_WAIT))
        told["next_call_at"] = timezone.now() + timedelta(seconds=wait)
    _unchanged(model).update(**told)


def _unchanged(model: ExternalModel) -> QuerySet[ExternalModel]:
    """The model, unless somebody has changed it since: what it was like before says nothing of it now."""
    return ExternalModel.objects.filter(pk=model.pk, checked_at=model.checked_at, sealed_key=model.sealed_key)


def _failed(wanted: WantedOutput, error: EndpointError) -> None:
    """An output that will be asked for again, later each time, or that will not come."""
    row = WantedOutput.objects.filter(pk=wanted.pk, state=OutputState.WAITING)
    row.update(problem=error.problem, detail=error.detail)
    if error.problem in HOPELESS:
        return
    if error.problem in PASSING and wanted.tries + 1 < MOST_TRIES:
        row.update(tries=F("tries") + 1)
        return
    settling.give_up(row, error.problem, error.detail)
    settling.settle_set(wanted.set_id)
