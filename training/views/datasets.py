"""Datasets: frozen rows, what was left out of them and why, and what was trained on them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from annotation.models import Project, UseCase
from annotation.numbers import row_number
from annotation.templatetags.plumbline import language_name
from annotation.views.decorators import SignedInRequest
from training import auditing, data_card
from training.dataset_rows import KINDS as KINDS_OF_ROWS
from training.datasets import DatasetError
from training.differences import Difference, compare
from training.forms.datasets import FreezeForm
from training.models import Dataset
from training.views.decorators import researchers_page, row_page

FILES = {
    "instructions": gettext_lazy("every instruction, with its split"),
    "demonstrations": gettext_lazy("answers by people: supervised fine-tuning learns from them"),
    "demonstrations_held_out": gettext_lazy("answers that no training sees: for measuring"),
    "messages": gettext_lazy("the same answers, each with its prompt as one conversation"),
    "rankings": gettext_lazy("rankings by people: the reward model learns from them"),
    "rankings_held_out": gettext_lazy("rankings that no training sees: for measuring the reward model"),
    "comparisons": gettext_lazy("pairs that follow from the rankings: prompt, chosen, rejected"),
    "completions": gettext_lazy("the ranked outputs one by one, each with a score"),
    "prompts": gettext_lazy("prompts that PPO practises on"),
    "prompts_held_out": gettext_lazy("prompts that no training sees: for measuring the policy"),
}
KINDS = {
    "prompts": gettext_lazy("Prompts"),
    "demonstrations": gettext_lazy("Answers"),
    "rankings": gettext_lazy("Rankings"),
}
# As training.datasets and training.differences write them, named here for translation.
REASONS = (
    gettext_noop("rejected by review"),
    gettext_noop("same text in a held-out split"),
    gettext_noop("of prompts kept for PPO"),
    gettext_noop("of prompts beyond the cap of their author"),
    gettext_noop("by people who have not qualified"),
    gettext_noop("qualification, gold and repeats"),
    gettext_noop("repeats"),
    gettext_noop("all outputs tied"),
    gettext_noop("at a gate that is not decided"),
    gettext_noop("judged at gates"),
)
NAMES = {
    "languages": gettext_lazy("Languages"),
    "use_cases": gettext_lazy("Use cases"),
    "prompts_per_author": gettext_lazy("Prompts an author"),
    "without_gates": gettext_lazy("Without what was judged at gates"),
    "version": gettext_lazy("Code version"),
    "unknown": gettext_lazy("unknown"),
}
LINES, PARQUET = ".jsonl", ".parquet"


@researchers_page("GET", "POST")
def index(request: SignedInRequest, project: Project) -> HttpResponse:
    """The project's datasets, and the form that freezes another."""
    form = FreezeForm(project, request.POST if request.method == "POST" else None)
    if form.is_valid() and (made := form.save(user=request.user)):
        messages.success(request, _("Dataset %(number)d is frozen.") % {"number": made.pk})
        return redirect("dataset", made.pk)
    datasets = project.datasets.prefetch_related("rounds").order_by("-id")
    context = {"project": project, "datasets": datasets, "form": form}
    return render(request, "training/datasets.html", context, status=422 if form.errors else 200)


@row_page(Dataset, "GET")
def detail(request: SignedInRequest, dataset: Dataset) -> HttpResponse:
    context = {
        "project": dataset.project,
        "dataset": dataset,
        "files": _files(dataset, LINES),
        "parquet": _files(dataset, PARQUET),
        "card": (dataset.folder / data_card.NAME).is_file() and data_card.NAME,
        "left_out": left_out(dataset),
        "guidelines": _guidelines(dataset),
        "filters": _filters(dataset),
        "up_to": [(KINDS.get(kind, kind), last) for kind, last in dataset.filters.get("up_to", {}).items()],
        "others": dataset.project.datasets.exclude(pk=dataset.pk),
        "rounds": dataset.rounds.order_by("-number"),
        "runs": dataset.runs.order_by("-id"),
    }
    return render(request, "training/dataset.html", context)


@row_page(Dataset, "GET")
def difference(request: SignedInRequest, dataset: Dataset) -> HttpResponse:
    """What sets it apart from another of the project, `with`: by default the one before it. The older comes first."""
    others = dataset.project.datasets.exclude(pk=dataset.pk)
    chosen = request.GET.get("with", "")
    other: Dataset | None
    if chosen:
        other = get_object_or_404(others, pk=row_number(chosen))
    else:
        other = others.filter(pk__lt=dataset.pk).first() or others.last()
    context: dict[str, Any] = {"project": dataset.project, "dataset": dataset, "others": others, "other": other}
    if other is not None:
        older, newer = sorted((dataset, other), key=lambda each: each.pk)
        context |= {"older": older, "newer": newer}
        try:
            context |= _shown(compare(older, newer))
        except DatasetError as error:
            context["problem"] = str(error)
    return render(request, "training/dataset_difference.html", context)


@row_page(Dataset, "GET")
def file(request: SignedInRequest, dataset: Dataset, name: str) -> HttpResponseBase:
    """One of its files. Changes nothing; that somebody took the data away is noted all the same."""
    path = dataset.folder / name
    if name not in (*dataset.files, data_card.NAME) or not path.is_file():
        raise Http404(f"Dataset {dataset.pk} has no file {name}.")
    auditing.downloaded(dataset, name, by=request.user)
    return FileResponse(path.open("rb"), as_attachment=True, filename=name)


def left_out(dataset: Dataset) -> list[tuple[str, str, int]]:
    """What was left out: of which kind, why, how many."""
    return [
        (str(KINDS.get(kind, kind)), _(reason), count)
        for kind, reasons in dataset.left_out.items()
        for reason, count in reasons.items()
    ]


def _files(dataset: Dataset, ending: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "about": about_file(name), "has_rows": name in KINDS_OF_ROWS, **about}
        for name, about in sorted(dataset.files.items(), key=lambda file: _place(file[0]))
        if name.endswith(ending)
    ]


def about_file(name: str) -> str:
    """What a file holds, in words; of some kinds both halves are told alike."""
    stem = name.partition(".")[0]
    if stem in FILES:
        return str(FILES[stem])
    told = FILES.get(stem.removesuffix("_held_out"))
    return _("%(rows)s; of prompts that no training sees") % {"rows": told} if told else ""


def _place(name: str) -> tuple[int, str]:
    """The database keeps no order of a file list; this one starts with what people wrote."""
    known, stem = list(FILES), name.partition(".")[0].removesuffix("_held_out")
    return (known.index(stem) if stem in known else len(known)), name


def _filters(dataset: Dataset) -> list[tuple[str, str]]:
    chosen = ((name, value) for name, value in dataset.filters.items() if name != "up_to")
    return [(str(NAMES.get(name, name)), _plain(name, value)) for name, value in chosen]


def _guidelines(dataset: Dataset) -> list[tuple[str, list[tuple[str, int]]]]:
    """Kinds of rows, and how many were done under each version."""
    return [
        (str(KINDS.get(kind, kind)), [(str(NAMES.get(version, version)), count) for version, count in counts.items()])
        for kind, counts in dataset.guidelines.items()
    ]


def _shown(found: Difference) -> dict[str, Any]:
    """The difference in words; of how they were made, only what differs."""
    rows = sorted(found.rows, key=lambda row: _place(row.name))
    made = [fact for fact in found.made_with if fact.differs and fact.kind != "up to"]
    return {
        "rows": [(row, about_file(row.name)) for row in rows],
        "left_out": [(KINDS.get(fact.kind, fact.kind), _(fact.name), fact) for fact in found.left_out],
        "guidelines": [
            (KINDS.get(fact.kind, fact.kind), NAMES.get(fact.name, fact.name), fact) for fact in found.guidelines
        ],
        "made_with": [
            (NAMES.get(fact.name, fact.name), _plain(fact.name, fact.before), _plain(fact.name, fact.after))
            for fact in made
        ],
    }


def _plain(name: str, value: Any) -> str:
    """A filter's value, or another thing that a dataset says of itself, in words."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if not isinstance(value, list):
        return str(value)
    use_cases = dict(UseCase.choices)
    words = [language_name(each) if name == "languages" else str(use_cases.get(each, each)) for each in value]
    return ", ".join(words)
