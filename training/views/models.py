"""Policies and reward models: their figures, and where each came from and what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation.models import Project
from annotation.views.decorators import INVALID, SignedInRequest
from training import archives, pushing, registry
from training.evaluation import table
from training.evaluation.forms import EvaluatePolicyForm, EvaluateRewardModelForm
from training.forms.models import PolicyForm, PushForm
from training.models import Policy, RewardModel, Round, Stage, TrainingRun
from training.views import folders, measures
from training.views.decorators import researchers_page, row_page


@researchers_page("GET", "POST")
def index(request: SignedInRequest, project: Project) -> HttpResponse:
    """The project's models and the form that brings in one made elsewhere."""
    form = PolicyForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and (policy := form.save(project, user=request.user)):
        messages.success(request, _("%(name)s has been added. A round can start from it.") % {"name": policy.name})
        return redirect("policy", policy.pk)
    context = {
        "project": project,
        "form": form,
        "policies": Policy.objects.filter(project=project).select_related("project", "run__round", "parent"),
        "reward_models": RewardModel.objects.filter(project=project).select_related("project", "run__round", "parent"),
        "current": Policy.objects.current(project),
    }
    return render(request, "training/models.html", context)


@row_page(Policy, "GET")
def policy(request: SignedInRequest, policy: Policy) -> HttpResponse:
    return _policy_page(request, policy, EvaluatePolicyForm(policy))


@row_page(Policy, "POST")
def evaluate(request: SignedInRequest, policy: Policy) -> HttpResponse:
    """Have it answer held-out prompts that people answered, to be measured beside them."""
    form = EvaluatePolicyForm(policy, request.POST)
    return _start(request, form) or _policy_page(request, policy, form, status=INVALID)


@row_page(Policy, "POST")
def push(request: SignedInRequest, policy: Policy) -> HttpResponse:
    """To the hub, by a worker."""
    form = PushForm(request.POST)
    if form.is_valid() and form.save(policy, user=request.user):
        messages.success(request, _("A worker pushes it to the hub; look again in a moment."))
        return redirect("policy", policy.pk)
    return _policy_page(request, policy, EvaluatePolicyForm(policy), push=form, status=INVALID)


def _policy_page(
    request: SignedInRequest,
    policy: Policy,
    form: EvaluatePolicyForm,
    *,
    push: PushForm | None = None,
    status: int = 200,
) -> HttpResponse:
    outputs = policy.generator.completions.aggregate(outputs=Count("pk"), prompts=Count("prompt", distinct=True))
    came_of_it = {
        "children": policy.children.order_by("-id"),
        "reward_models": policy.reward_models.order_by("-id"),
        "rounds": policy.rounds_from.order_by("-number"),
        "runs": policy.runs_from.order_by("-id"),
    }
    context = (
        _page(policy)
        | _pushed(policy, push or PushForm())
        | came_of_it
        | outputs
        | _measured(policy.runs_from.filter(stage=Stage.SAMPLE))
        | {"form": form, "can_evaluate": policy.project.datasets.exists()}
        | {"made_by": _round_of(policy), "is_current": Policy.objects.current(policy.project) == policy}
    )
    return render(request, "training/policy.html", context, status=status)


@row_page(Policy, "POST")
def put_back(request: SignedInRequest, policy: Policy) -> HttpResponse:
    """Go back to a policy that was published before."""
    try:
        registry.put_back(policy, user=request.user)
        messages.success(request, _("%(name)s is the current policy again.") % {"name": policy.name})
    except registry.ModelError as refusal:
        messages.error(request, str(refusal))
    return redirect("policy", policy.pk)


@row_page(RewardModel, "GET")
def reward_model(request: SignedInRequest, model: RewardModel) -> HttpResponse:
    return _reward_model_page(request, model, EvaluateRewardModelForm(model))


@row_page(RewardModel, "POST")
def evaluate_reward_model(request: SignedInRequest, model: RewardModel) -> HttpResponse:
    """Have it score outputs that people ranked and no training sees, to be measured beside them."""
    form = EvaluateRewardModelForm(model, request.POST)
    return _start(request, form) or _reward_model_page(request, model, form, status=INVALID)


@row_page(RewardModel, "POST")
def push_reward_model(request: SignedInRequest, model: RewardModel) -> HttpResponse:
    """To the hub, by a worker."""
    form = PushForm(request.POST)
    if form.is_valid() and form.save(model, user=request.user):
        messages.success(request, _("A worker pushes it to the hub; look again in a moment."))
        return redirect("reward-model", model.pk)
    return _reward_model_page(request, model, EvaluateRewardModelForm(model), push=form, status=INVALID)


@row_page(RewardModel, "GET")
def bias(request: SignedInRequest, model: RewardModel) -> HttpResponse:
    """What people's choices and its own each owe to the form of an output."""
    context = _page(model) | _measured(model.runs.filter(stage=Stage.SCORE))
    if measured := context["measured"]:
        context["effects"] = measures.effects(measured.run)
    return render(request, "training/bias.html", context)


def _reward_model_page(
    request: SignedInRequest,
    model: RewardModel,
    form: EvaluateRewardModelForm,
    *,
    push: PushForm | None = None,
    status: int = 200,
) -> HttpResponse:
    context = (
        _page(model)
        | _pushed(model, push or PushForm())
        | _measured(model.runs.filter(stage=Stage.SCORE))
        | {"made_by": _round_of(model), "runs": model.runs.order_by("-id")}
        | {"form": form, "can_evaluate": model.project.datasets.exists()}
    )
    return render(request, "training/reward_model.html", context, status=status)


@row_page(Policy, "GET")
def policy_archive(request: SignedInRequest, policy: Policy) -> HttpResponseBase:
    return _archive(request, policy, back="policy")


@row_page(RewardModel, "GET")
def reward_model_archive(request: SignedInRequest, model: RewardModel) -> HttpResponseBase:
    return _archive(request, model, back="reward-model")


def _archive(request: SignedInRequest, model: Policy | RewardModel, *, back: str) -> HttpResponseBase:
    try:
        return archives.download(model)
    except archives.Nothing as reason:
        messages.error(request, str(reason))
        return redirect(back, model.pk)


def _page(model: Policy | RewardModel) -> dict[str, Any]:
    return {
        "project": model.project,
        "model": model,
        "figures": table.figures_of(model),
        "card": folders.model_card(model),
        "files": folders.model_files(model),
        "archive": f"{model._meta.model_name}-archive".replace("rewardmodel", "reward-model"),
        "run": model.run,
        "dataset": model.run.dataset if model.run else None,
        "query": f"model={table.key_of(model)}",
        "is_missing": bool(model.path) and not model.folder.is_dir(),
    }


def _start(request: SignedInRequest, form: EvaluatePolicyForm | EvaluateRewardModelForm) -> HttpResponse | None:
    """To the run of the evaluation; None where the form can't be used, or the evaluation was refused."""
    if not form.is_valid() or (run := form.save(user=request.user)) is None:
        return None
    messages.success(request, _("The evaluation is on its way. Its figures will be on the model's page."))
    return redirect("run", run.pk)


def _pushed(model: Policy | RewardModel, form: PushForm) -> dict[str, Any]:
    """What was pushed to the hub, and the form that pushes it where that can be."""
    is_out = isinstance(model, RewardModel) or model.published_at is not None
    may_push = is_out and bool(model.path) and pushing.has_token()
    address = reverse("policy-push" if isinstance(model, Policy) else "reward-model-push", args=[model.pk])
    return {"pushes": pushing.of(model)[:10], "push_form": form, "may_push": may_push, "push_address": address}


def _measured(runs: QuerySet[TrainingRun]) -> dict[str, Any]:
    """The newest figures of the model's evaluations, without and with examples, and evaluations on their way."""
    done = TrainingRun.objects.evaluations().filter(pk__in=runs.values("pk")).select_related("judge")
    newest, few_shot = done.zero_shot().first(), done.few_shot().first()
    return {
        "measured": measures.shown(newest) if newest else None,
        "evaluations": [measures.shown(run) for run in (newest, few_shot) if run is not None],
        "unfinished": measures.unfinished(runs),
    }


def _round_of(model: Policy | RewardModel) -> Round | None:
    return model.run.round if model.run else None
