"""Talking to one policy or two side by side. A plain form gets whole answers; the page's script, as they are said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from annotation.limits import limits
from annotation.models import Project
from annotation.refusals import Refused
from annotation.views.decorators import INVALID, SignedInRequest
from training.models import Policy, RewardModel
from training.playground import answering, heat, places, queueing
from training.playground.answering import Answer
from training.playground.client import Unavailable, Waiting
from training.playground.forms import SIDES, AskForm, QueueForm
from training.views.decorators import researchers_page

MOST_A_MINUTE = 30  # answers to one person
TOO_MANY = 429


@dataclass
class Side:
    """One policy's part of the page, with its answer or with the reason why there is none."""

    name: str
    letter: str
    policy: Policy | None = None
    answer: dict[str, Any] | None = None
    problem: str = ""


@researchers_page("GET", "POST")
def page(request: SignedInRequest, project: Project) -> HttpResponse:
    _known(project, request.POST if request.method == "POST" else request.GET)
    if request.method != "POST":
        policy = request.GET.get("first")
        return _page(request, project, AskForm(project, initial={"first": policy} if policy else None))
    if token := request.POST.get("go_on"):
        return _go_on(request, project, token)
    form = AskForm(project, request.POST)
    if not form.is_valid():
        return _page(request, project, form, status=INVALID)
    return _page(request, project, form, sides=[_whole(request, project, form, side) for side in SIDES])


@researchers_page("POST")
def stream(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """One side's answer as lines of JSON: {"waiting"}, {"text"}, then {"html"} of the whole answer, or {"problem"}."""
    _known(project, request.POST)
    form, side = AskForm(project, request.POST), request.POST.get("side", "")
    policy = form.policy(side) if form.is_valid() and side in SIDES else None
    if policy is None:
        said = [str(error) for errors in form.errors.values() for error in errors] or [_("Choose a policy.")]
        return JsonResponse({"problem": " ".join(said)}, status=INVALID)
    if not _may_ask(request):
        return JsonResponse({"problem": _too_often()}, status=TOO_MANY)
    lines = _lines(request, project, form, policy, language=translation.get_language())
    response = StreamingHttpResponse(lines, content_type="application/x-ndjson")
    response["X-Accel-Buffering"] = "no"  # or a proxy would gather the pieces
    return response


@researchers_page("POST")
def queue(request: SignedInRequest, project: Project) -> HttpResponse:
    """Send the answers to be ranked, or their prompt to be answered. The page's script asks for JSON."""
    form = QueueForm(project, request.POST)
    try:
        if not form.is_valid():
            raise Refused(_("Choose the prompt's use case and language."))
        answers = [queueing.opened(each, project=project, by=request.user) for each in request.POST.getlist("answer")]
        said, done = _sent(request, project, answers, **form.cleaned_data), True
    except Refused as refusal:
        said, done = str(refusal), False
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({"said": said, "done": done}, status=200 if done else INVALID)
    (messages.success if done else messages.error)(request, said)
    return redirect("playground", project.slug)


def _sent(
    request: SignedInRequest, project: Project, answers: list[dict[str, Any]], *, use_case: str, language: str
) -> str:
    about: dict[str, Any] = {"use_case": use_case, "language": language, "by": request.user}
    if request.POST.get("how") == "demonstration":
        queueing.have_answered(project, answers, **about)
        return _("People will be asked for an answer to this prompt.")
    item = queueing.have_ranked(project, answers, **about)
    outputs = _("%(count)d outputs are in the ranking queue, blind.") % {"count": len(item.completions)}
    return f"{outputs} {queueing.trains(item.asked)}"


def _go_on(request: SignedInRequest, project: Project, token: str) -> HttpResponse:
    """The same page with the answer as part of the conversation."""
    initial = {name: request.POST.get(name) for name in ("first", "second", "judge", "temperature", "max_new_tokens")}
    try:
        answer = queueing.opened(token, project=project, by=request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return _page(request, project, AskForm(project, initial=initial), status=INVALID)
    turns = [*answer["messages"], {"role": "assistant", "content": answer["text"]}]
    return _page(request, project, AskForm(project, initial=initial | {"history": json.dumps(turns)}))


def _page(
    request: HttpRequest, project: Project, form: AskForm, *, sides: list[Side] | None = None, status: int = 200
) -> HttpResponse:
    context = {
        "project": project,
        "form": form,
        "queue": QueueForm(project),
        "sides": sides or [Side(name, letter) for name, letter in SIDES.items()],
        "has_answers": any(side.answer for side in sides or ()),
        "turns": form.turns(),
        "wants_demonstrations": project.demonstrations_per_prompt > 0,
        "is_on": settings.PLAYGROUND_MODELS > 0,
    }
    return render(request, "training/playground.html", context, status=status)


def _whole(request: SignedInRequest, project: Project, form: AskForm, name: str) -> Side:
    side = Side(name, SIDES[name], form.policy(name))
    if side.policy is None:
        return side
    if not _may_ask(request):
        side.problem = _too_often()
        return side
    try:
        with places.one_of(settings.PLAYGROUND_STREAMS):
            for each in answering.answer(side.policy, form.asked(), judge=form.cleaned_data["judge"]):
                if isinstance(each, Answer):
                    side.answer = _shown(request, project, form, each)
    except Unavailable as reason:
        side.problem = str(reason)
    except places.Busy:
        side.problem = _busy()
    return side


def _lines(
    request: SignedInRequest, project: Project, form: AskForm, policy: Policy, *, language: str | None
) -> Iterator[str]:
    try:
        with places.one_of(settings.PLAYGROUND_STREAMS), translation.override(language):
            for each in answering.answer(policy, form.asked(), judge=form.cleaned_data["judge"]):
                if isinstance(each, Waiting):
                    yield _line(waiting=True)
                elif isinstance(each, Answer):
                    context = {"answer": _shown(request, project, form, each), "project": project}
                    yield _line(html=render_to_string("training/playground_answer.html", context))
                else:
                    yield _line(text=each)
    except Unavailable as reason:
        yield _line(problem=str(reason))
    except places.Busy:
        yield _line(problem=_busy())


def _line(**content: Any) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"


def _shown(request: SignedInRequest, project: Project, form: AskForm, answer: Answer) -> dict[str, Any]:
    token = queueing.signed(answer, project=project, by=request.user, few_shot=form.is_few_shot)
    return {"given": answer, "cells": heat.shown(answer), "token": token}


def _known(project: Project, named: Any) -> None:
    """Models of other projects are not there."""
    for name, kind in (("first", Policy), ("second", Policy), ("judge", RewardModel)):
        wanted = named.get(name, "")
        if wanted.isdecimal() and not kind._default_manager.filter(pk=wanted, project=project).exists():
            raise Http404(f"No {kind._meta.verbose_name} {wanted} in {project}.")


def _may_ask(request: SignedInRequest) -> bool:
    """Counted for all processes of the web together."""
    return limits.wait(f"playground-{request.user.pk}", most=MOST_A_MINUTE) == 0


def _too_often() -> str:
    return _("You have asked for %(count)d answers within a minute. Wait a moment.") % {"count": MOST_A_MINUTE}


def _busy() -> str:
    return _("As many answers are being given as there may be at once (%(count)d). Try again in a moment.") % {
        "count": settings.PLAYGROUND_STREAMS
    }
