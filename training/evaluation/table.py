"""Any models beside each other, by any figures: those of a round's evaluation and those of an evaluation by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from annotation import charts
from annotation.models import Project
from training.evaluation.round_figures import INTERVALS
from training.models import Policy, RewardModel, Stage, TrainingRun

Model = Policy | RewardModel
# What a round's evaluation tells of either model: both keep all of it.
OF_REWARD_MODELS = {
    "pair_accuracy", "pairs", "ranking_loss", "reward_offset", "reward_scale", "longer_wins", "length_correlation",
    "calibration_error", "annotator_agreement", "agreement_pairs", "accuracy_by_gap", "reliability",
}  # fmt: skip
EVALUATED = "evaluation/"  # before the name of a figure that an evaluation by itself found
FEW_SHOT = f"{EVALUATED}few_shot/"  # the same, with people's answers before each prompt
SHOTS = f"{FEW_SHOT}shots"  # how many


@dataclass(frozen=True)
class Cell:
    """A figure; `low` and `high` where it has an interval."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """A model with its figures by name, and the evaluations that some of them come from."""

    key: str
    model: Model
    cells: dict[str, Cell]
    evaluation: TrainingRun | None
    few_shot: TrainingRun | None

    @property
    def evaluations(self) -> list[TrainingRun]:
        return [run for run in (self.evaluation, self.few_shot) if run is not None]


def lines(project: Project) -> list[Line]:
    """One for each policy, then for each reward model, the newest first. Five queries, however many there are."""
    policies = Policy.objects.filter(project=project).select_related("run__round")
    rewards = RewardModel.objects.filter(project=project).select_related("run__round")
    done = TrainingRun.objects.evaluations().filter(project=project)
    of_policy = _newest(done.filter(stage=Stage.SAMPLE).zero_shot(), "base_id")
    few_shot = _newest(done.filter(stage=Stage.SAMPLE).few_shot(), "base_id")
    of_reward = _newest(done.filter(stage=Stage.SCORE), "judge_id")
    return [
        *(_line(each, of_policy.get(each.pk), few_shot.get(each.pk)) for each in policies),
        *(_line(each, of_reward.get(each.pk)) for each in rewards),
    ]


def figures_of(model: Model) -> dict[str, Any]:
    """Of a round's figures, which both of its models keep, those that tell of this one; and INTERVALS by name."""
    judges = isinstance(model, RewardModel)
    own = {
        name: value
        for name, value in model.figures.items()
        if name != INTERVALS and (name in OF_REWARD_MODELS) == judges
    }
    return {**own, INTERVALS: model.figures.get(INTERVALS, {})} if own else {}


def key_of(model: Model) -> str:
    """What a model is called in addresses and on the command line."""
    return f"{'reward-model' if isinstance(model, RewardModel) else 'policy'}-{model.pk}"


def measures(found: Iterable[Line]) -> list[str]:
    """Every figure that one of the lines has."""
    return list(dict.fromkeys(name for line in found for name in line.cells))


def ordered(found: Sequence[Line], by: str) -> list[Line]:
    """By the figure of that name, the highest first; with a minus before it the lowest first. Those without it last."""
    name, sign = by.removeprefix("-"), 1 if by.startswith("-") else -1
    having = [line for line in found if name in line.cells]
    return [
        *sorted(having, key=lambda line: sign * line.cells[name].value),
        *(line for line in found if name not in line.cells),
    ]


def as_rows(found: Iterable[Line], names: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The table for a file: rows, and the columns in their order. Intervals stand in columns of their own."""
    found = list(found)
    bounded = [name for name in names if any(line.cells[name].low is not None for line in found if name in line.cells)]
    columns = ["model", "kind", "run", "dataset"]
    columns += ["few_shot/run", "few_shot/dataset"] if any(line.few_shot for line in found) else []
    for name in names:
        columns += [name, f"{name}/low", f"{name}/high"] if name in bounded else [name]
    return [_row(line, names) for line in found], columns


def _row(line: Line, names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "model": line.model.name,
        "kind": "reward model" if isinstance(line.model, RewardModel) else "policy",
        "run": line.evaluation.pk if line.evaluation else None,
        "dataset": line.evaluation.dataset_id if line.evaluation else None,
        "few_shot/run": line.few_shot.pk if line.few_shot else None,
        "few_shot/dataset": line.few_shot.dataset_id if line.few_shot else None,
    }
    for name in names:
        if cell := line.cells.get(name):
            row |= {name: cell.value, f"{name}/low": cell.low, f"{name}/high": cell.high}
    return row


def _newest(runs: Iterable[TrainingRun], by: str) -> dict[int, TrainingRun]:
    newest: dict[int, TrainingRun] = {}
    for run in runs:
        newest.setdefault(getattr(run, by), run)
    return newest


def _line(model: Model, evaluation: TrainingRun | None, few_shot: TrainingRun | None = None) -> Line:
    figures = figures_of(model)
    cells = {
        name: _cell(value, figures[INTERVALS].get(name))
        for name, given in figures.items()
        if (value := charts.number(given)) is not None
    }
    for prefix, run in ((EVALUATED, evaluation), (FEW_SHOT, few_shot)):
        overall = run.result["evaluation"]["overall"] if run else {}
        cells |= {prefix + name: Cell(cell["value"], cell["low"], cell["high"]) for name, cell in overall.items()}
    if few_shot is not None:
        cells[SHOTS] = Cell(few_shot.inputs["shots"])
    return Line(key_of(model), model, cells, evaluation, few_shot)


def _cell(value: float, interval: dict[str, Any] | None) -> Cell:
    return Cell(value, interval["low"], interval["high"]) if interval else Cell(value)
