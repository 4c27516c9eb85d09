"""Several runs of one stage, their curves over one another."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from annotation.models import Project
from annotation.views.decorators import SignedInRequest
from training import curves
from training.models import Stage, TrainingRun
from training.views import meanings
from training.views.decorators import researchers_page

MOST = 6  # as many dashes as the style sheet tells apart
AT_FIRST = 3
LISTED = 60


@researchers_page("GET")
def compare(request: SignedInRequest, project: Project) -> HttpResponse:
    """The runs `run` of the stage `stage`; at first the newest ones of the stage that was trained last."""
    drawable = [run for run in _runs(project) if (run.output / "metrics.jsonl").is_file()]
    stages = [stage for stage in meanings.FIRST if any(run.stage == stage for run in drawable)]
    stage = request.GET.get("stage") or (drawable[0].stage if drawable else "")
    listed = [run for run in drawable if run.stage == stage]
    asked = set(request.GET.getlist("run"))
    chosen = [run for run in listed if str(run.pk) in asked] if asked else listed[:AT_FIRST]
    drawn = sorted(chosen[:MOST], key=lambda run: run.pk)
    rows = {str(run.pk): curves.metrics(run) for run in drawn}
    labels = {str(run.pk): curves.name_of(run) for run in drawn}
    context = {
        "project": project,
        "stages": [(name, Stage(name).label) for name in stages],
        "stage": stage,
        "choices": [(run, curves.name_of(run), run in drawn) for run in listed],
        "most": MOST if len(chosen) > MOST else None,
        "curves": meanings.of_runs(stage, curves.overlaid(rows, leave_out=meanings.NOT_DRAWN), labels),
        "query": "&".join(f"run={key}" for key in rows),
    }
    return render(request, "training/curves.html", context)


def _runs(project: Project) -> list[TrainingRun]:
    """The newest of those whose stage has curves that are worth a look."""
    runs = project.runs.filter(stage__in=list(meanings.FIRST)).select_related("round", "policy", "rewardmodel")
    return list(runs.order_by("-pk")[:LISTED])
