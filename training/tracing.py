"""From a record that people made to the datasets that hold it, and to the models that learnt from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from annotation.models import Completion, Demonstration, Project, Prompt, Ranking
from training import formats
from training.dataset_rows import KINDS, rows_from
from training.models import Dataset, Policy, RewardModel, Stage, TrainingRun

Record = Prompt | Demonstration | Ranking
LEARN = {  # the stages that learn from a file; by every other a run is measured, or finds its zero
    "demonstrations.jsonl": (Stage.SFT,),
    "rankings.jsonl": (Stage.REWARD_MODEL, Stage.DPO),
    "prompts.jsonl": (Stage.PPO,),
}


@dataclass(frozen=True)
class Place:
    """A dataset that holds a record, and in which of its files."""

    dataset: Dataset
    files: list[str]


@dataclass(frozen=True)
class Trace:
    """`learnt` are the models whose own training had it among its rows, `descended` those made of these."""

    places: list[Place]
    learnt: list[Policy | RewardModel]
    descended: list[Policy | RewardModel]


def records(project: Project, kind: str) -> QuerySet[Any]:
    """The project's records of one of the kinds that dataset rows are made of."""
    match kind:
        case "prompts":
            return Prompt.objects.filter(project=project)
        case "demonstrations":
            return Demonstration.objects.filter(prompt__project=project).select_related("prompt", "guidelines")
        case "rankings":
            return Ranking.objects.filter(prompt__project=project).select_related("prompt", "guidelines")
    raise ValueError(f"{kind!r} is no kind of record; expected prompts, demonstrations or rankings.")


def row_of(project: Project, record: Record) -> formats.PromptRow | formats.DemonstrationRow | formats.RankingRow:
    """What a dataset that is frozen now would hold of it."""
    match record:
        case Prompt():
            return formats.instruction_row(project, record)
        case Demonstration():
            return formats.demonstration_row(project, record)
    ranked = [completion for group in record.groups for completion in group]
    made = Completion.objects.filter(pk__in=ranked).values_list("pk", "text", "generator__name")
    return formats.ranking_row(project, record, {pk: formats.Output(text, model) for pk, text, model in made})


def trace(project: Project, kind: str, number: int) -> Trace:
    places = [
        Place(dataset, files)
        for dataset in project.datasets.all()
        if (files := [name for name in _files(dataset, kind) if _holds(dataset, name, number)])
    ]
    stages = {place.dataset.pk: {stage for name in place.files for stage in LEARN.get(name, ())} for place in places}
    made = sorted([*models_of(Policy, project), *models_of(RewardModel, project)], key=lambda each: each.created_at)
    learnt = [each for each in made if each.run and each.run.stage in stages.get(each.run.dataset_id, ())]
    descended: list[Policy | RewardModel] = []
    for model in made:  # whatever a model is made of is older
        if model not in learnt and any(older in learnt or older in descended for older in made_of(model)):
            descended.append(model)
    return Trace(places, learnt, descended)


def learns_from(run: TrainingRun) -> str:
    """The file of its dataset that the run learns from; empty where it learns from none."""
    return next((name for name, stages in LEARN.items() if run.stage in stages and run.dataset), "")


def made_of(model: Policy | RewardModel) -> Sequence[Policy | RewardModel]:
    """The models that its training began from or asked."""
    run = model.run
    older = [model.parent, *((run.base, run.reference, run.judge) if run else ())]
    return [each for each in older if each is not None]


def models_of(kind: Any, project: Project) -> QuerySet[Any]:
    """The project's policies or reward models, with what `made_of` looks at."""
    rows: QuerySet[Any] = kind._default_manager.filter(project=project).select_related(
        "parent", "run__dataset", "run__base", "run__reference", "run__judge"
    )
    return rows


def _files(dataset: Dataset, kind: str) -> list[str]:
    return [name for name, of in KINDS.items() if of == kind and name in dataset.files]


def _holds(dataset: Dataset, name: str, number: int) -> bool:
    first = next(rows_from(dataset.folder / name, number), None)
    return first is not None and first.get("id") == number
