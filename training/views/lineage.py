"""From a dataset to what people made, row by row, and from what somebody made to the models that learnt from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext_lazy

from annotation.models import Project
from annotation.numbers import row_number
from annotation.views.decorators import SignedInRequest
from training import tracing
from training.dataset_rows import KINDS, rows_from
from training.models import Dataset, Policy, RewardModel
from training.views.datasets import about_file
from training.views.decorators import researchers_page, row_page

PAGE = 20
RECORDS = {
    "prompts": gettext_lazy("Instruction"),
    "demonstrations": gettext_lazy("Answer"),
    "rankings": gettext_lazy("Ranking"),
}


@row_page(Dataset, "GET")
def rows(request: SignedInRequest, dataset: Dataset, name: str) -> HttpResponse:
    """One of its files, read from the record `from` on."""
    if name not in KINDS or name not in dataset.files:
        raise Http404(f"Dataset {dataset.pk} has no file of rows {name}.")
    first = row_number(request.GET.get("from", "")) or 0
    found = list(islice(rows_from(dataset.folder / name, first), PAGE + 1))
    context = {
        "project": dataset.project, "dataset": dataset, "name": name, "about": about_file(name), "first": first,
        "kind": KINDS[name], "record": RECORDS[KINDS[name]], "rows": [_shown(row) for row in found[:PAGE]],
        "following": found[PAGE]["id"] if len(found) > PAGE else None,
    }  # fmt: skip
    return render(request, "training/dataset_rows.html", context)


@researchers_page("GET")
def record(request: SignedInRequest, project: Project, kind: str, number: int) -> HttpResponse:
    """What somebody made, which datasets hold it, and which models learnt from it or were made of those."""
    if kind not in RECORDS:
        raise Http404(f"{kind} is no kind of record.")
    found = get_object_or_404(tracing.records(project, kind), pk=number)
    trace = tracing.trace(project, kind, number)
    context = {
        "project": project, "kind": kind, "record": RECORDS[kind], "number": number,
        "row": _shown(tracing.row_of(project, found)), "learnt": _linked(trace.learnt),
        "descended": _linked(trace.descended),
        "places": [(place.dataset, [(name, about_file(name)) for name in place.files]) for place in trace.places],
    }  # fmt: skip
    return render(request, "training/lineage.html", context)


def _linked(models: Sequence[Policy | RewardModel]) -> list[tuple[str, str]]:
    """Name and address of each."""
    pages = ((each, "policy" if isinstance(each, Policy) else "reward-model") for each in models)
    return [(each.name, reverse(page, args=[each.pk])) for each, page in pages]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for its page: the prompt as messages, the outputs from the best on."""
    prompt = row["prompt"]
    ranked = sorted(row.get("completions", ()), key=lambda output: int(output["rank"]))
    return {
        "id": row["id"],
        "messages": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt,
        "completion": row.get("completion"),
        "completions": ranked,
        "person": row.get("annotator") or row.get("author"),
    }
