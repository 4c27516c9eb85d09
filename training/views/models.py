"""Policies and reward models: their figures, and where each came from and what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from annotation.models import Project
from annotation.views.decorators import SignedInRequest
from training import archives, registry
from training.forms import PolicyForm
from training.models import Policy, RewardModel, Round
from training.views import folders
from training.views.decorators import researchers_page, row_page

OF_REWARD_MODELS = {
    "pair_accuracy", "pairs", "ranking_loss", "reward_offset", "reward_scale", "longer_wins", "length_correlation",
    "calibration_error", "annotator_agreement", "agreement_pairs", "accuracy_by_gap", "reliability",
}  # fmt: skip


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
    outputs = policy.generator.completions.aggregate(outputs=Count("pk"), prompts=Count("prompt", distinct=True))
    came_of_it = {
        "children": policy.children.order_by("-id"),
        "reward_models": policy.reward_models.order_by("-id"),
        "rounds": policy.rounds_from.order_by("-number"),
        "runs": policy.runs_from.order_by("-id"),
    }
    context = (
        _page(policy)
        | came_of_it
        | outputs
        | {"made_by": _round_of(policy), "is_current": Policy.objects.current(policy.project) == policy}
    )
    return render(request, "training/policy.html", context)


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
    context = _page(model) | {"made_by": _round_of(model), "runs": model.runs.order_by("-id")}
    return render(request, "training/reward_model.html", context)


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


def figures_of(model: Policy | RewardModel) -> dict[str, Any]:
    """An evaluation measures both models of a round; each page shows what is told of its own."""
    judges = isinstance(model, RewardModel)
    return {name: value for name, value in model.figures.items() if (name in OF_REWARD_MODELS) == judges}


def _page(model: Policy | RewardModel) -> dict[str, Any]:
    return {
        "project": model.project,
        "model": model,
        "figures": figures_of(model),
        "card": folders.model_card(model),
        "files": folders.model_files(model),
        "archive": f"{model._meta.model_name}-archive".replace("rewardmodel", "reward-model"),
        "run": model.run,
        "dataset": model.run.dataset if model.run else None,
        "is_missing": bool(model.path) and not model.folder.is_dir(),
    }


def _round_of(model: Policy | RewardModel) -> Round | None:
    return model.run.round if model.run else None
