"""One run: what it was asked, how far it is, its curves, its log, how it ended."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.views.decorators import SignedInRequest
from annotation.views.live import live
from training import commands, curves, runs, tracing
from training.algorithms.hyperparameters import STAGES
from training.models import RunState, TrainingRun
from training.supervisor import last_lines
from training.views import meanings, stages
from training.views.decorators import row_page

LOG_LINES = 60
PARTS = {  # of a run's time, as training.algorithms names them
    "startup": gettext_lazy("Loading"),
    "training": gettext_lazy("Training"),
    "sampling": gettext_lazy("Sampling"),
    "scoring": gettext_lazy("Scoring"),
    "measuring": gettext_lazy("Measuring"),
    "saving": gettext_lazy("Saving"),
    "total": gettext_lazy("Altogether"),
}


@row_page(TrainingRun, "GET")
def detail(request: SignedInRequest, run: TrainingRun) -> HttpResponse:
    seconds = run.result.get("seconds", {})
    context: dict[str, Any] = {
        "project": run.project,
        "run": run,
        "note": stages.note_of(run),
        "seconds_left": stages.seconds_left(run),
        "curves": meanings.of_run(run.stage, curves.metrics(run)),
        "figures": run.result or {name: run.latest[name] for name in run.latest if name not in meanings.NOT_DRAWN},
        "log": last_lines(run, count=LOG_LINES),
        "settings": settings_of(run),
        "command": command_of(run),
        "parts": [(told, seconds[name]) for name, told in PARTS.items() if name in seconds],
        "learns_from": tracing.learns_from(run),
        "made": [made for name in ("policy", "rewardmodel") if (made := getattr(run, name, None))],
        "may_retry": run.state in (RunState.FAILED, RunState.CANCELLED),
    }
    return live(
        request, "training/run.html", context, phase=f"{run.state}{'-stopping' if run.cancel_requested else ''}"
    )


def settings_of(run: TrainingRun) -> list[dict[str, Any]]:
    """Each hyperparameter with its value, the paper's, and what it does."""
    kind = STAGES.get(run.algorithm)
    known = {setting.name: setting for setting in dataclasses.fields(kind)} if kind else {}
    return [
        {
            "name": name,
            "value": value,
            "paper": known[name].default if name in known else None,
            "help": _explained(known[name]) if name in known else "",
        }
        for name, value in run.hyperparameters.items()
    ]


def _explained(setting: dataclasses.Field[Any]) -> str:
    about: str = setting.metadata["help"]
    return _(about)


def command_of(run: TrainingRun) -> str:
    """The command that carries it out, as a person would type it."""
    given = run.folder / commands.INPUTS / "hyperparameters.json"
    flags = [*commands.stage_flags(run), "--hyperparameters", str(given)]
    pairs = [shlex.join(flags[at : at + 2]) for at in range(0, len(flags), 2)]
    return " \\\n  ".join([f"python -m training.algorithms {run.algorithm}", *pairs])


@row_page(TrainingRun, "POST")
def cancel(request: SignedInRequest, run: TrainingRun) -> HttpResponse:
    return _told(request, run, runs.cancel)


@row_page(TrainingRun, "POST")
def retry(request: SignedInRequest, run: TrainingRun) -> HttpResponse:
    return _told(request, run, runs.retry)


def _told(request: SignedInRequest, run: TrainingRun, verb: Any) -> HttpResponse:
    try:
        verb(run)
    except runs.RunRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("run", run.pk)
