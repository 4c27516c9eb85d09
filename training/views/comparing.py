"""The table of any models over any figures, on a page and as a file for a spreadsheet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render

from annotation import formats
from annotation.models import Project
from annotation.views.decorators import SignedInRequest
from training.evaluation import table
from training.views import meanings, measures
from training.views.decorators import researchers_page

AT_FIRST = ("mean_reward", "kl", "mean_length", "pair_accuracy")


@dataclass(frozen=True)
class Column:
    """`sorts`: the query that orders by it, the other way round where it is ordered by it already."""

    name: str
    meaning: meanings.Meaning
    sorts: str
    sorted: str


@researchers_page("GET")
def compare(request: SignedInRequest, project: Project) -> HttpResponse:
    """The models `model` over the figures `measure`, ordered by `sort`: at first all models over a few figures."""
    known = table.lines(project)
    lines, names, sort = _chosen(known, request.GET)
    context = {
        "project": project,
        "models": [(line, line in lines) for line in known],
        "kinds": _kinds(known, names),
        "columns": [_column(name, request.GET, names, sort) for name in names],
        "rows": [(line, [line.cells.get(name) for name in names]) for line in lines],
        "sort": sort,
        "of_models": urlencode([("model", line.key) for line in lines]),
        "query": _query(request.GET, names, sort),
    }
    return render(request, "training/compare_models.html", context)


@researchers_page("GET")
def as_file(request: SignedInRequest, project: Project) -> HttpResponseBase:
    """The same table as CSV, with figures in full."""
    lines, names, _sort = _chosen(table.lines(project), request.GET)
    rows, columns = table.as_rows(lines, names)
    content = b"".join(formats.write(rows, columns, "csv"))
    response = HttpResponse(content, content_type=formats.FORMATS["csv"])
    response["Content-Disposition"] = f'attachment; filename="{project.slug}-models.csv"'
    return response


def _chosen(known: list[table.Line], query: QueryDict) -> tuple[list[table.Line], list[str], str]:
    """Lines and figures asked for, and what the lines are ordered by. What is unknown is passed over."""
    models = set(query.getlist("model"))
    lines = [line for line in known if not models or line.key in models]
    every = measures.in_order(table.measures(known))
    asked = query.getlist("measure")
    names = [name for name in every if name in asked] if asked else [n for n in every if _at_first(n)]
    sort = query.get("sort", "")
    sort = sort if sort.removeprefix("-") in names else ""
    return table.ordered(lines, sort) if sort else lines, names, sort


def _at_first(name: str) -> bool:
    return name in AT_FIRST or name.startswith(table.EVALUATED)


def _kinds(known: list[table.Line], names: list[str]) -> list[tuple[bool, list[tuple[str, meanings.Meaning, bool]]]]:
    """The figures to choose from, with whether each is chosen: those of evaluations by themselves, then a round's."""
    every = [(name, measures.meaning(name), name in names) for name in measures.in_order(table.measures(known))]
    parts = [(own, [each for each in every if each[0].startswith(table.EVALUATED) == own]) for own in (True, False)]
    return [(own, part) for own, part in parts if part]


def _column(name: str, query: QueryDict, names: list[str], sort: str) -> Column:
    """Ordered by already: the highest first is "descending"."""
    ordered = {name: "descending", f"-{name}": "ascending"}.get(sort, "none")
    turned = f"-{name}" if sort == name else name
    return Column(name, measures.meaning(name), _query(query, names, turned), ordered)


def _query(query: QueryDict, names: list[str], sort: str) -> str:
    pairs: list[tuple[str, Any]] = [("model", each) for each in query.getlist("model")]
    pairs += [("measure", name) for name in names]
    return urlencode([*pairs, *([("sort", sort)] if sort else [])])
