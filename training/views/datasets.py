"""Datasets: frozen rows, what was left out of them and why, and what was trained on them."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from annotation.models import Project
from annotation.views.decorators import SignedInRequest
from training.models import Dataset
from training.views.decorators import researchers_page, row_page

FILES = {
    "instructions": gettext_lazy("every instruction, with its split"),
    "demonstrations": gettext_lazy("answers by people: supervised fine-tuning learns from them"),
    "demonstrations_held_out": gettext_lazy("answers that no training sees: for measuring"),
    "rankings": gettext_lazy("rankings by people: the reward model learns from them"),
    "rankings_held_out": gettext_lazy("rankings that no training sees: for measuring the reward model"),
    "prompts": gettext_lazy("prompts that PPO practises on"),
    "prompts_held_out": gettext_lazy("prompts that no training sees: for measuring the policy"),
}
KINDS = {
    "prompts": gettext_lazy("Prompts"),
    "demonstrations": gettext_lazy("Answers"),
    "rankings": gettext_lazy("Rankings"),
}
# The reasons as training.datasets writes them, named here for translation.
REASONS = (
    gettext_noop("rejected by review"),
    gettext_noop("same text in a held-out split"),
    gettext_noop("of prompts kept for PPO"),
    gettext_noop("by people who have not qualified"),
    gettext_noop("qualification, gold and repeats"),
    gettext_noop("repeats"),
    gettext_noop("all outputs tied"),
)


@researchers_page("GET")
def index(request: SignedInRequest, project: Project) -> HttpResponse:
    datasets = project.datasets.prefetch_related("rounds").order_by("-id")
    return render(request, "training/datasets.html", {"project": project, "datasets": datasets})


@row_page(Dataset, "GET")
def detail(request: SignedInRequest, dataset: Dataset) -> HttpResponse:
    files = [
        {"name": name, "about": FILES.get(name.partition(".")[0], ""), **about}
        for name, about in sorted(dataset.files.items(), key=lambda file: _place(file[0]))
    ]
    context = {
        "project": dataset.project,
        "dataset": dataset,
        "files": files,
        "left_out": left_out(dataset),
        "filters": {name: value for name, value in dataset.filters.items() if name != "up_to"},
        "rounds": dataset.rounds.order_by("-number"),
        "runs": dataset.runs.order_by("-id"),
    }
    return render(request, "training/dataset.html", context)


def _place(name: str) -> int:
    """The database keeps no order of a file list; this one starts with what people wrote."""
    known = list(FILES)
    stem = name.partition(".")[0]
    return known.index(stem) if stem in known else len(known)


def left_out(dataset: Dataset) -> list[tuple[str, str, int]]:
    """What was left out: of which kind, why, how many."""
    return [
        (str(KINDS.get(kind, kind)), _(reason), count)
        for kind, reasons in dataset.left_out.items()
        for reason, count in reasons.items()
    ]
