"""A report on one model or several, to hand on: what they were made of, their figures, their curves.

One HTML file that needs nothing beside it, or Markdown with its plots as SVG files.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import Project
from training import curves
from training.evaluation import table, whiskers
from training.evaluation.table import Line, Model
from training.lineage import code_version
from training.models import Dataset, TrainingRun
from training.views import meanings, measures

ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # equal reports are equal files


@dataclass(frozen=True)
class Plot:
    """A picture, its caption, and the SVG of it, which needs nothing beside it either."""

    name: str
    title: str
    about: str
    svg: str


@dataclass(frozen=True)
class Ancestor:
    """What a model is, or one it was made of: by which run, from what, on which data."""

    model: Model
    run: TrainingRun | None
    dataset: Dataset | None
    sha256: str


@dataclass(frozen=True)
class Subject:
    """A model of the report. `evaluations` are as on its page; `settings` are those of the run that made it.

    `effects`: of a reward model, what people's choices and its own each owe to form and place, as on that page.
    """

    line: Line
    evaluations: list[measures.Measured]
    effects: list[tuple[Any, Any, Any, Any]]
    settings: list[tuple[str, Any]]
    curves: list[Plot]


@dataclass(frozen=True)
class Report:
    title: str
    project: Project
    made_at: Any
    code_version: str
    subjects: list[Subject]
    figures: list[tuple[meanings.Meaning, list[table.Cell | None]]]
    ancestors: list[Ancestor]
    plots: list[Plot]


class NoModel(Exception):
    """None of the models asked for is the project's; the message says which there are."""


def compose(project: Project, keys: Sequence[str]) -> Report:
    """On the models of these keys (`policy-3`, `reward-model-4`), in that order. Raises NoModel for an unknown one."""
    known = {line.key: line for line in table.lines(project)}
    if unknown := [key for key in keys if key not in known]:
        raise NoModel(
            _("This project has no model {key}. It has: {known}.").format(
                key=unknown[0], known=", ".join(known) or _("none")
            )
        )
    lines = [known[key] for key in dict.fromkeys(keys)]
    names = measures.in_order(table.measures(lines))
    return Report(
        title=_("Report on %(models)s") % {"models": ", ".join(line.model.name for line in lines)},
        project=project,
        made_at=timezone.now(),
        code_version=code_version(),
        subjects=[_subject(line, number) for number, line in enumerate(lines, start=1)],
        figures=[(measures.meaning(name), [line.cells.get(name) for line in lines]) for name in names],
        ancestors=list(_ancestors([line.model for line in lines])),
        plots=[plot for name in names if (plot := _intervals(name, lines))],
    )


def as_html(report: Report) -> str:
    return render_to_string("training/report.html", {"report": report})


def as_markdown(report: Report) -> dict[str, str]:
    """Files by their names: report.md, and its plots under plots/."""
    drawn = [*report.plots, *(plot for subject in report.subjects for plot in subject.curves)]
    text = render_to_string("training/report_markdown.txt", {"report": report})
    return {"report.md": text, **{f"plots/{plot.name}.svg": plot.svg for plot in drawn}}


def packed(files: dict[str, str]) -> bytes:
    """The files as one zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_TIME), text)
    return content.getvalue()


def _subject(line: Line, number: int) -> Subject:
    run = line.model.run
    return Subject(
        line=line,
        evaluations=[measures.shown(run) for run in line.evaluations],
        effects=measures.effects(line.evaluation) if line.evaluation else [],
        settings=list(run.hyperparameters.items()) if run else [],
        curves=_curves(run, number) if run else [],
    )


def _curves(run: TrainingRun, number: int) -> list[Plot]:
    """Those to look at first."""
    return [
        Plot(
            name=f"model-{number}-{chart.slug}",
            title=chart.title,
            about=_about(chart.explanation, chart.y_title),
            svg=render_to_string("training/report_chart.svg", {"chart": chart}).strip(),
        )
        for chart in meanings.of_run(run.stage, curves.metrics(run)).first
    ]


def _intervals(name: str, lines: Sequence[Line]) -> Plot | None:
    """The models' intervals of a figure below each other; None where fewer than two have one."""
    having = [(line.model.name, line.cells[name]) for line in lines if name in line.cells]
    bounded = [(model, cell) for model, cell in having if cell.low is not None and cell.high is not None]
    if len(bounded) < 2:
        return None
    told = measures.meaning(name)
    drawn = whiskers.draw([(model, cell.value, cell.low or 0.0, cell.high or 0.0) for model, cell in bounded])
    svg = render_to_string("training/report_whiskers.svg", {"plot": drawn, "title": told.label}).strip()
    return Plot(name.replace("/", "-"), str(told.label), _about(told.explanation, told.unit), svg)


def _about(explanation: Any, unit: Any) -> str:
    """What a plot shows and in what unit, as the table of figures says it."""
    return f"{explanation} ({unit})" if unit else str(explanation)


def _ancestors(models: Sequence[Model]) -> Iterator[Ancestor]:
    """The models and what they were made of, each once, those nearest first."""
    seen: set[tuple[str, int]] = set()
    waiting = list(models)
    while waiting:
        model = waiting.pop(0)
        if (key := (type(model).__name__, model.pk)) in seen:
            continue
        seen.add(key)
        run = model.run
        dataset = run.dataset if run else None
        frozen = dataset.as_of(run.started_at or run.created_at)["sha256"] if run and dataset else ""
        yield Ancestor(model, run, dataset, frozen)
        waiting += [each for each in (model.parent, *((run.base, run.judge) if run else ())) if each is not None]
