"""A round as its page shows it: each stage with its state, its run and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import charts
from training import curves
from training.models import FINAL_STATES, Round, RoundStage, RoundState, RunState, Stage, TrainingRun
from training.views import gates, meanings

NO_WORKER_SECONDS = 20


@dataclass(frozen=True)
class Step:
    """`state` is the data-state of the stepper; `note` what is to be known about it now."""

    stage: RoundStage
    state: str
    run: TrainingRun | None
    seconds: float | None
    note: str


def steps(round: Round, runs: Mapping[str, TrainingRun]) -> list[Step]:
    order = round.stages
    here = order.index(RoundStage(round.stage))
    return [
        Step(
            stage,
            state := _state(round, at - here),
            runs.get(stage),
            round.seconds.get(stage),
            _note(round, stage, runs.get(stage)) if state == "running" else "",
        )
        for at, stage in enumerate(order)
    ]


def runs_of(round: Round) -> dict[str, TrainingRun]:
    return {run.stage: run for run in round.runs.select_related("base", "judge")}


def waits_for_publication(round: Round) -> bool:
    return round.state == RoundState.RUNNING and round.stage == RoundStage.PUBLISH and not publishes_itself(round)


def publishes_itself(round: Round) -> bool:
    return bool(round.options.get("publish", "auto") != "manual")


def _state(round: Round, distance: int) -> str:
    """The state of the stage that comes `distance` after the round's own."""
    if distance < 0 or round.state in (RoundState.PUBLISHED, RoundState.FINISHED):
        return "done"
    if distance > 0:
        return "waiting"
    ended = {RoundState.FAILED: "failed", RoundState.CANCELLED: "cancelled", RoundState.REJECTED: "rejected"}
    return ended.get(RoundState(round.state), "running")


def _note(round: Round, stage: RoundStage, run: TrainingRun | None) -> str:
    if waits_for_publication(round):
        return _("It waits for you: look at the figures and samples, then publish it.")
    if round.state == RoundState.GATE:
        return gates.note(round)
    if run is None:
        return _("About to start.")
    return note_of(run)


def note_of(run: TrainingRun) -> str:
    """What a run that has not ended is about, in a few words."""
    if run.state in FINAL_STATES:
        return ""
    if run.cancel_requested:
        return _("Being cancelled: it saves a checkpoint and ends within seconds.")
    if run.state == RunState.QUEUED:
        ahead = TrainingRun.objects.filter(state=RunState.RUNNING).exclude(pk=run.pk).count()
        if ahead:
            return _("Waiting for the worker, which is busy with another run.")
        if (timezone.now() - (run.started_at or run.created_at)).total_seconds() > NO_WORKER_SECONDS:
            return _("Waiting, and no worker has taken it yet. Is a worker for the training queue running?")
        return _("Waiting for a worker.")
    if not run.total_steps:
        return _("Starting: loading the model and the data.")
    return ""


def seconds_left(run: TrainingRun) -> float | None:
    """By the speed so far; None while nothing can be said."""
    seconds = charts.number(run.latest.get("seconds"))
    if run.state != RunState.RUNNING or not run.step or not seconds:
        return None
    return seconds / run.step * max(0, run.total_steps - run.step)


def curves_of(runs: Mapping[str, TrainingRun]) -> list[dict[str, Any]]:
    """The curves to look at first, of every stage that has any; the latest stage on top."""
    drawn = [
        {"run": runs[stage], "charts": meanings.of_run(stage, curves.metrics(runs[stage])).first}
        for stage in (Stage.PPO, Stage.DPO, Stage.REWARD_MODEL, Stage.SFT)
        if stage in runs
    ]
    return [each for each in drawn if each["charts"]]


def first_and_last(run: TrainingRun | None, name: str) -> tuple[float, float] | None:
    """A metric where PPO began and where it is: at its first step the policy is still the one from fine-tuning."""
    rows = curves.metrics(run) if run is not None else []
    values = [value for row in rows if (value := charts.number(row.get(name))) is not None]
    return (values[0], values[-1]) if len(values) > 1 else None
