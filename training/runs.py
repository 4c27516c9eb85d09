"""Runs: made, carried out by one worker, ended once. Every change of state is a conditional update."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import Error as DatabaseAway
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import Project, User
from annotation.wording import storable
from training import devices, generation, registry, supervisor, withdrawals
from training.datasets import DatasetError, verify
from training.hyperparameters import settle
from training.lineage import code_version
from training.messages import SWEEP_SECONDS, nudge
from training.models import Dataset, Policy, RewardModel, Round, RunState, Stage, TrainingRun

log = logging.getLogger(__name__)

SILENT_AFTER = timedelta(seconds=max(2 * SWEEP_SECONDS, 5 * supervisor.HEARTBEAT_SECONDS))
DEATHS_ALLOWED = 3
INPUT_ERROR = 2
ASKED_TO_STOP = (75, -signal.SIGTERM, -signal.SIGINT)  # at a checkpoint, or before it had begun


class RunRefused(Exception):
    """The run can't do what was asked of it in the state it is in."""


def create(
    project: Project,
    *,
    stage: Stage,
    user: User | None,
    round: Round | None = None,
    dataset: Dataset | None = None,
    base: Policy | None = None,
    reference: Policy | None = None,
    judge: RewardModel | None = None,
    preset: str = "auto",
    values: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> TrainingRun:
    """A run in the queue. `values` go over the preset's; InputError where they are no settings of the stage."""
    rows = dataset.counts if dataset is not None else {}
    run = TrainingRun.objects.create(
        project=project,
        round=round,
        stage=stage,
        dataset=dataset,
        base=base,
        reference=reference,
        judge=judge,
        hyperparameters=settle(stage, preset=preset, rows=rows, policy=base, values=values),
        inputs=dict(inputs or {}),
        code_version=code_version(),
        created_by=user,
    )
    nudge("execute_run", run.pk)
    return run


def cancel(run: TrainingRun) -> None:
    """A queued run ends here; a running one is asked to, and ends within seconds."""
    now = timezone.now()
    queued = TrainingRun.objects.filter(id=run.pk, state=RunState.QUEUED)
    if queued.update(state=RunState.CANCELLED, cancel_requested=True, finished_at=now):
        _tell_round(run)
        return
    running = TrainingRun.objects.filter(id=run.pk, state=RunState.RUNNING)
    if not running.update(cancel_requested=True):
        raise RunRefused(_("This run has ended; there is nothing to cancel."))


def retry(run: TrainingRun) -> None:
    """Queue a run again that failed or was cancelled; it goes on from its last checkpoint."""
    ended = TrainingRun.objects.filter(id=run.pk, state__in=[RunState.FAILED, RunState.CANCELLED])
    with transaction.atomic():
        again = ended.update(
            state=RunState.QUEUED, attempts=0, error="", cancel_requested=False, finished_at=None, worker="",
            announced_at=timezone.now(),
        )  # fmt: skip
        if not again:
            raise RunRefused(_("Only a run that failed or was cancelled can be tried again."))
        nudge("execute_run", run.pk)


def execute(run_id: int) -> None:
    """Claim the run and carry it out; nothing happens where another worker has it, or each device has a run."""
    worker = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    run = TrainingRun.objects.claim(run_id, worker=worker, devices=devices.here())
    if run is None:
        return
    try:
        _look_at_inputs(run)
        ending, code = supervisor.supervise(run)
        _conclude(run, ending, code)
    except supervisor.FolderBusy as error:  # by a trainer whose worker died and which takes its time to end
        _died(run, str(error))
    except (OSError, DatasetError, registry.ModelError) as error:
        log.warning("Run %s failed: %s", run.pk, error)
        fail(run, str(error))
    except DatabaseAway:
        raise  # the row says that it runs, and nobody does: the sweep takes it over once the database is back
    except Exception as error:
        fail(run, _("Plumbline itself failed: {error}. The worker's log says where.").format(error=repr(error)))
        raise
    finally:
        _call_next()


def _call_next() -> None:
    """A device has become free: whoever waited for it need not wait for the sweep."""
    if (following := TrainingRun.objects.waiting().first()) is not None:
        nudge("execute_run", following.pk)


def finish(run: TrainingRun, result: Mapping[str, Any]) -> None:
    """running → succeeded, together with what the run made: its model in the registry, its samples in the queue."""
    with transaction.atomic():
        ended = TrainingRun.objects.held(run).update(
            state=RunState.SUCCEEDED, result=result, finished_at=timezone.now(), heartbeat_at=timezone.now()
        )
        if not ended:
            return
        run.refresh_from_db()
        _enter_products(run)
        _tell_round(run)


def fail(run: TrainingRun, reason: str) -> None:
    with transaction.atomic():
        told = storable(reason)  # a log may end in anything
        if TrainingRun.objects.held(run).update(state=RunState.FAILED, error=told, finished_at=timezone.now()):
            _tell_round(run)


def sweep() -> None:
    """Put right what lost messages and dead workers left: send again, take over, give up on hopeless runs."""
    for run in TrainingRun.objects.abandoned(after=SILENT_AFTER):
        log.warning("Run %s: no sign of life from %s; taking it over.", run.pk, run.worker)
        _died(run, _("The worker that carried it out ({worker}) fell silent.").format(worker=run.worker))
    for run in TrainingRun.objects.overlooked(after=timedelta(seconds=SWEEP_SECONDS)):
        TrainingRun.objects.filter(id=run.pk).update(announced_at=timezone.now())
        nudge("execute_run", run.pk)


def _look_at_inputs(run: TrainingRun) -> None:
    """Refuse within a moment, and in plain words, what the process would stumble over seconds later."""
    if run.dataset is not None:
        verify(run.dataset)
    for model in (run.base, run.reference, run.judge):
        if model is not None and model.path:
            registry.check_folder(model.folder)


def _conclude(run: TrainingRun, ending: supervisor.Ending, code: int) -> None:
    """The state that follows from how the process ended."""
    result = run.output / "result.json"
    if ending is supervisor.Ending.CLAIM_LOST:
        return
    if code == 0 and result.exists():
        finish(run, json.loads(result.read_text()))
    elif ending is supervisor.Ending.CANCELLED:
        _end_cancelled(run)
    elif ending is supervisor.Ending.WORKER_STOPS or code in ASKED_TO_STOP:
        _queue_again(run)
    elif code == INPUT_ERROR or (code > 0 and _told(run).get("error") == "InputError"):  # a launcher ends with 1
        fail(run, _reason(run))
    elif code < 0:
        name = signal.Signals(-code).name
        hint = _(" Perhaps the memory ran out: choose a smaller batch or model.") if -code == signal.SIGKILL else ""
        _died(run, _("The process was ended by {signal}.").format(signal=name) + hint)
    else:
        text = supervisor.last_lines(run)
        fail(run, _("The process ended with code {code}. Its last lines:\n{lines}").format(code=code, lines=text))


def _reason(run: TrainingRun) -> str:
    """What error.json says, else the end of the log."""
    return _told(run).get("message") or supervisor.last_lines(run) or _(
        "It could not even write down why it failed: the disk is probably full. Make room, then try the run again."
    )  # fmt: skip


def _told(run: TrainingRun) -> dict[str, str]:
    """What the process wrote down as it failed."""
    try:
        told: dict[str, str] = json.loads((run.output / "error.json").read_text())
    except (OSError, ValueError):
        return {}
    return told


def _died(run: TrainingRun, reason: str) -> None:
    """A process or worker was killed: once more from the last checkpoint, but not for ever."""
    if run.cancel_requested:
        _end_cancelled(run)
    elif run.attempts + 1 >= DEATHS_ALLOWED:
        fail(run, _("{reason} That was start {count}; it is not tried again by itself.").format(
            reason=reason, count=run.attempts + 1
        ))  # fmt: skip
    else:
        log.warning("Run %s: %s Starting it again.", run.pk, reason)
        _queue_again(run, attempts=run.attempts + 1)


def _queue_again(run: TrainingRun, **changes: Any) -> None:
    """For the next worker, unless somebody has asked for its end meanwhile: no worker would take it then."""
    with transaction.atomic():
        changes |= {"state": RunState.QUEUED, "worker": "", "announced_at": timezone.now()}
        if TrainingRun.objects.held(run).filter(cancel_requested=False).update(**changes):
            nudge("execute_run", run.pk)
        else:
            _end_cancelled(run)


def _end_cancelled(run: TrainingRun) -> None:
    with transaction.atomic():
        if TrainingRun.objects.held(run).update(state=RunState.CANCELLED, finished_at=timezone.now()):
            _tell_round(run)


def _tell_round(run: TrainingRun) -> None:
    if run.round_id is not None:
        nudge("advance_round", run.round_id)


def _enter_products(run: TrainingRun) -> None:
    prefix = f"round-{run.round.number}-" if run.round is not None else ""
    suffix = "" if run.round is not None else f"-{run.pk}"
    name = registry.free_name(run.project, f"{prefix}{run.stage.replace('_', '-')}{suffix}", run=run)
    match run.stage:
        case Stage.PRETRAIN:
            texts = run.inputs.get("texts", "")
            registry.register_policy(run.project, run=run, name=name, parent=run.base, texts=texts)
        case Stage.SFT | Stage.PPO | Stage.DPO:
            registry.register_policy(run.project, run=run, name=name, parent=run.base)
        case Stage.REWARD_MODEL:
            registry.register_reward_model(run.project, run=run, name=name, parent=run.base)
        case _ if "evaluation" in run.inputs:
            nudge("measure", run.pk)
        case _ if "outputs" in run.inputs:
            nudge("take_outputs", run.pk)
        case Stage.SAMPLE | Stage.BEST_OF_N if run.inputs.get("queue", True):
            queued = generation.register_samples(run)
            TrainingRun.objects.filter(id=run.pk).update(result={**run.result, "queued": queued})
    withdrawals.mark_models(run.project)
