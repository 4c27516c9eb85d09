"""Rounds: started by one button, watched, published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from annotation.models import Completion, Item, ItemKind, Project, Ranking
from annotation.numbers import row_number
from annotation.views.decorators import INVALID, SignedInRequest
from annotation.views.live import live
from training import automatic, outlook, rounds, runs, stage_inputs
from training.forms.rounds import StartForm, settings_of
from training.models import Round, RoundState, Stage, TrainingRun
from training.options import Options
from training.readiness import counted
from training.views import folders, gates, stages
from training.views.datasets import left_out
from training.views.decorators import researchers_page, round_page


@researchers_page("GET", "POST")
def index(request: SignedInRequest, project: Project) -> HttpResponse:
    """The project's rounds and the form that starts one."""
    counts = counted(project)
    if request.method == "GET" and request.headers.get("HX-Request"):
        form = StartForm(project, counts=counts, data=request.GET)
        return render(request, "training/rounds.html#changed", {"form": form} | _outlook(project, form, counts))
    like = _like(project, request.GET.get("like", ""))
    form = StartForm(
        project,
        counts=counts,
        data=request.POST if request.method == "POST" else None,
        initial=settings_of(like) if like else None,
    )
    if form.is_valid() and "look" not in request.POST and (started := _start(request, project, form)):
        return redirect("round", project.slug, started.number)
    listed = project.rounds.select_related("base", "dataset", "policy", "gate").order_by("-number")
    context = {
        "form": form,
        "rounds": listed,
        "next_number": _next_number(project),
        "like": like,
        "rule": automatic.of(project),
        "usual_base": rounds.usual_base(project),
        "looks": "look" in request.POST,
        **_outlook(project, form, counts, like=like.options if like else None),
    }
    return render(request, "training/rounds.html", context, status=INVALID if form.errors else None)


def _outlook(
    project: Project, form: StartForm, counts: dict[str, int], *, like: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What is to be said of a round as the form has it; of one with the usual settings, where it can't be used."""
    chosen = form.options() if form.is_bound and form.is_valid() else like or {"stages": form.chosen}
    try:
        options = Options.parse(chosen)
    except rounds.RoundRefused:
        options = Options()
    return {"project": project, "outlook": outlook.of_round(project, options, base=form.chosen_base(), counts=counts)}


def _start(request: SignedInRequest, project: Project, form: StartForm) -> Round | None:
    """The new round; None where it was refused, and the form says why."""
    try:
        return rounds.start(project, user=request.user, options=form.options())
    except rounds.RoundRefused as refusal:
        form.add_error(None, str(refusal))
        return None


def _like(project: Project, number: str) -> Round | None:
    """The round whose settings the form begins with."""
    wanted = row_number(number)
    return None if wanted is None else project.rounds.filter(number=wanted).first()


def _next_number(project: Project) -> int:
    last = project.rounds.order_by("-number").first()
    return last.number + 1 if last else 1


@round_page("GET")
def detail(request: SignedInRequest, round: Round) -> HttpResponse:
    of_stage = stages.runs_of(round)
    waits = stages.waits_for_publication(round)
    ppo = of_stage.get(Stage.PPO)
    context: dict[str, Any] = {
        "project": round.project,
        "round": round,
        "steps": stages.steps(round, of_stage),
        "curves": stages.curves_of(of_stage),
        "waits": waits,
        "is_running": round.state == RoundState.RUNNING,
        "gate": gates.shown(round),
        "chosen_judge": stage_inputs.judge_of(round) if round.options.get("reward_model") else None,
        "publishes_itself": stages.publishes_itself(round),
        "reward": stages.first_and_last(ppo, "objective/reward"),
        "length": stages.first_and_last(ppo, "objective/length"),
        "samples": folders.before_and_after(ppo) if ppo else [],
        "left_out": left_out(round.dataset) if round.dataset else [],
        "queue": queue_of(round, of_stage.get(Stage.SAMPLE) or of_stage.get(Stage.BEST_OF_N)),
    }
    return live(request, "training/round.html", context, phase=f"{round.state}{'-waits' if waits else ''}")


def queue_of(round: Round, run: TrainingRun | None) -> dict[str, int] | None:
    """What became of the round's outputs among people; None before any arrived."""
    if run is None or "queued" not in run.result:
        return None
    asked = [row["id"] for row in run.inputs["prompts"]]
    mine = list(Completion.objects.filter(prompt__in=asked, sampling__run=run.pk).values_list("id", flat=True))
    items = Item.objects.filter(project=round.project, kind=ItemKind.RANKING, completions__overlap=mine)
    ranked = Ranking.objects.filter(assignment__item__in=items)
    return {
        **run.result["queued"],
        "items": items.count(),
        "ranked": ranked.values("assignment__item").distinct().count(),
    }


def _verb(view_verb: Callable[[SignedInRequest, Round], None]) -> Any:
    """A POST that changes a round and leads back to it; a refusal is said there."""

    @round_page("POST")
    def act(request: SignedInRequest, round: Round) -> HttpResponse:
        try:
            view_verb(request, round)
        except (rounds.RoundRefused, runs.RunRefused) as refusal:
            messages.error(request, str(refusal))
        return redirect("round", round.project.slug, round.number)

    return act


@_verb
def cancel(request: SignedInRequest, round: Round) -> None:
    rounds.cancel(round, user=request.user)


@_verb
def retry(request: SignedInRequest, round: Round) -> None:
    rounds.retry(round, user=request.user)


@_verb
def publish(request: SignedInRequest, round: Round) -> None:
    rounds.publish(round, user=request.user)


@_verb
def decide(request: SignedInRequest, round: Round) -> None:
    """Publish its policy or not, whatever the gate says, for the reason given."""
    publish_it = request.POST.get("verdict") == "publish"
    rounds.decide(round, publish_it=publish_it, reason=request.POST.get("reason", ""), user=request.user)
