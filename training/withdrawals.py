"""What follows here when people take their work back: datasets and models say so, and erased rows leave the files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import Project, Withdrawal
from annotation.refusals import Refused
from annotation.signals import data_withdrawn
from training import commands, data_card, parquet, registry
from training.algorithms import event_files
from training.dataset_rows import KINDS, lines, record_id
from training.datasets import counts_of, hash_of, write_rows
from training.lineage import sha256_of, write_lineage
from training.models import Dataset, Policy, RewardModel, RunState, TrainingRun
from training.tracing import made_of, models_of

Ids = Mapping[str, Collection[int]]  # the kinds of a Withdrawal → the records that are gone


@receiver(data_withdrawn)
def follow(withdrawal: Withdrawal, **_signal: Any) -> None:
    project = withdrawal.project
    if withdrawal.erased:
        if TrainingRun.objects.active().filter(project=project).exists():
            raise Refused(
                _("A training run of this project is at work and may hold this data. Wait until it has ended, or "
                  "cancel it; then erase.")
            )  # fmt: skip
        erased = _together([withdrawal])
        touched = {dataset.pk for dataset in project.datasets.all() if erase_rows(dataset, erased)}
        for run in project.runs.all():
            _erase_from_run(run, erased, learnt_from_it=run.dataset_id in touched)
    gone = _together(Withdrawal.objects.filter(project=project))
    for dataset in project.datasets.all():
        rows = count_rows(dataset, gone)
        if rows > dataset.withdrawn_rows:
            dataset.withdrawn_at = timezone.now()
        dataset.withdrawn_rows = rows
        dataset.save(update_fields=["withdrawn_rows", "withdrawn_at"])
    mark_models(project)


def mark_models(project: Project) -> None:
    """Have every model say how many withdrawn rows it learnt from, itself or through the models it was made of."""
    made: list[Policy | RewardModel] = [*models_of(Policy, project), *models_of(RewardModel, project)]
    used: dict[Policy | RewardModel, dict[int, int]] = {}
    for model in sorted(made, key=lambda each: each.created_at):  # whatever a model is made of is older
        used[model] = _rows_of_run(model.run)
        for older in made_of(model):
            for dataset, rows in used.get(older, {}).items():
                used[model][dataset] = max(rows, used[model].get(dataset, 0))
        total = sum(used[model].values())
        if total != model.used_withdrawn_rows:
            model.used_withdrawn_rows, model.used_withdrawn_at = total, timezone.now()
            model.save(update_fields=["used_withdrawn_rows", "used_withdrawn_at"])
            if model.run is not None and model.folder.is_dir():
                write_lineage(model.folder, registry.lineage(model.run) | {"rows_withdrawn_since": total})


def count_rows(dataset: Dataset, ids: Ids) -> int:
    """How many rows of the files, as they will stand, were made of these records."""
    return sum(
        record_id(line) in ids[kind]
        for name, kind in KINDS.items()
        if name in dataset.files and ids[kind]
        for line in lines(_newest(dataset, name))
    )


def erase_rows(dataset: Dataset, ids: Ids) -> int:
    """Take the rows made of these records out of the files; how many. The dataset has new hashes and names the old.

    The Parquet files are written anew from the rows that are left.
    """
    files, rows = dict(dataset.files), 0
    for name in files.keys() & KINDS.keys():
        path, gone = dataset.folder / name, ids[KINDS[name]]
        if any(record_id(line) in gone for line in lines(path)):
            kept = (json.loads(line) for line in lines(path) if record_id(line) not in gone)
            files[name] = _written(path, kept)
            rows += dataset.files[name]["rows"] - files[name]["rows"]
    for name, source in parquet.sources().items():
        if name in files and files[source] != dataset.files[source]:
            path = dataset.folder / name
            _draft(path).unlink(missing_ok=True)
            files[name] = parquet.write(_draft(path), _draft(dataset.folder / source), name=name)
    if rows:
        before = {"at": timezone.now().isoformat(), "rows": rows, "sha256": dataset.sha256, "files": dataset.files}
        dataset.erasures = [*dataset.erasures, before]
        dataset.files, dataset.counts, dataset.sha256 = files, counts_of(files), hash_of(files)
        dataset.save(update_fields=["erasures", "files", "counts", "sha256"])
        transaction.on_commit(finish_erasures)
    return rows


def finish_erasures() -> None:
    """Put files that an erasure has written in the place of the old ones. The database says which are to be.

    Called once an erasure is committed, and by the sweep, should the process have died just then.
    """
    drafts = sorted((Path(settings.DATA) / "datasets").glob("*/.*.part"))
    datasets = Dataset.objects.select_related("project").in_bulk({int(draft.parent.name) for draft in drafts})
    for draft in drafts:
        name, dataset = draft.name[1:].removesuffix(".part"), datasets.get(int(draft.parent.name))
        if dataset is not None and dataset.files.get(name, {}).get("sha256") == sha256_of(draft):
            data_card.write(dataset.folder, dataset)  # first: what is cut short here is begun again while a draft lies
            draft.replace(dataset.folder / name)


def _erase_from_run(run: TrainingRun, ids: Ids, *, learnt_from_it: bool) -> None:
    """What lies beside a run: the prompts chosen for it, what was sampled to them, checkpoints with rows in them."""
    asked = {name: run.inputs[name] for name in ("prompts", "completions") if name in run.inputs}
    answers = set(ids["demonstrations"])  # with those that stood as examples before a prompt the prompt goes too
    led = {row["id"] for row in asked.get("prompts", ()) if not answers.isdisjoint(row.get("examples", ()))}
    gone = {*ids["prompts"], *led}
    kept = {name: [row for row in rows if row.get("id") not in gone] for name, rows in asked.items()}
    if kept != asked:
        run.inputs = {**run.inputs, **kept}
        run.save(update_fields=["inputs"])
    if kept == asked and not learnt_from_it:
        return
    given = run.folder / commands.INPUTS
    for path in (
        given / "prompts.jsonl",
        given / "completions.jsonl",
        run.folder / "samples.jsonl",
        run.folder / "best_of_n.jsonl",
        run.folder / "scores.jsonl",
    ):
        if path.is_file():
            _written(path, (row for line in lines(path) if (row := json.loads(line)).get("id") not in gone))
            _draft(path).replace(path)
    unnumbered = ["fixed_samples.jsonl", "samples.partial.jsonl"]
    if run.state != RunState.SUCCEEDED:  # should it be tried again, it begins anew, with what is left
        unnumbered += ["inputs.json", "metrics.jsonl", event_files.NAME]
    for name in unnumbered:
        (run.output / name).unlink(missing_ok=True)
    shutil.rmtree(run.output / "checkpoints", ignore_errors=True)


def _rows_of_run(run: TrainingRun | None) -> dict[int, int]:
    """Dataset → withdrawn rows that the run learnt from: those still in the files, and those erased since it began."""
    if run is None or run.dataset is None:
        return {}
    rows = run.dataset.withdrawn_rows + run.dataset.as_of(run.started_at or run.created_at)["rows"]
    return {run.dataset.pk: rows} if rows else {}


def _together(withdrawals: Any) -> dict[str, set[int]]:
    return {kind: {pk for each in withdrawals for pk in getattr(each, kind)} for kind in Withdrawal.KINDS}


def _written(path: Path, rows: Iterator[Any]) -> dict[str, Any]:
    """The draft of a file; one that an erasure left unfinished makes way."""
    _draft(path).unlink(missing_ok=True)
    return write_rows(_draft(path), rows)


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _newest(dataset: Dataset, name: str) -> Path:
    """The file that the row tells of: not yet in its place while the erasure that wrote it goes on."""
    path = dataset.folder / name
    draft = _draft(path)
    return draft if draft.is_file() and sha256_of(draft) == dataset.files[name]["sha256"] else path
