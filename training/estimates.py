"""How long a round would take and cost, by how fast the last runs of the same stage here were. Nothing is typed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from statistics import median

from django.conf import settings
from django.db.models import Case, IntegerField, Value, When

from annotation.models import Project
from training import plans, weights
from training.models import Policy, RunState, Stage, TrainingRun
from training.options import Options
from training.rounds import worked

RUNS_ASKED = 5
RUNS_LOOKED_AT = 50
AROUND = ("startup", "loading", "saving")


@dataclass(frozen=True)
class Estimate:
    """`seconds` is None where no run of the stage on a model of this size has ended here yet; `runs` were asked."""

    stage: Stage
    seconds: float | None
    runs: int


@dataclass(frozen=True)
class Speed:
    """What one run took: seconds for each unit of what it had to do, and seconds around that."""

    each: float
    around: float


def of_round(
    project: Project, options: Options, *, base: Policy | None, counts: Mapping[str, int], settled: plans.Settings
) -> list[Estimate]:
    """Of each stage that a run does, in their order."""
    size = weights.parameters(base)
    return [
        _estimate(
            stage,
            plans.amount(stage, values, counts=counts, prompts=plans.prompts_of(stage, options, counts=counts)),
            list(islice(_speeds(project, stage, base=base, size=size), RUNS_ASKED)),
        )
        for stage, values in settled.items()
    ]


def total(estimates: list[Estimate]) -> float | None:
    """Seconds of all stages; None where one has no figure, or there is none."""
    known = [each.seconds for each in estimates if each.seconds is not None]
    return sum(known) if known and len(known) == len(estimates) else None


def cost(seconds: float | None) -> tuple[Decimal, str] | None:
    """What the time costs, and the currency; None without COMPUTE_RATE."""
    if seconds is None or settings.COMPUTE_RATE is None:
        return None
    rate, currency = settings.COMPUTE_RATE
    return rate * Decimal(seconds) / 3600, currency


def _estimate(stage: Stage, amount: float, speeds: list[Speed]) -> Estimate:
    if not speeds:
        return Estimate(stage, None, 0)
    each, around = median(speed.each for speed in speeds), median(speed.around for speed in speeds)
    return Estimate(stage, amount * each + around, len(speeds))


def _speeds(project: Project, stage: Stage, *, base: Policy | None, size: int | None) -> Iterator[Speed]:
    """The newest runs of the stage on a model of this size, those of the project first."""
    ours = Case(When(project=project, then=Value(0)), default=Value(1), output_field=IntegerField())
    ended = TrainingRun.objects.filter(stage=stage, state=RunState.SUCCEEDED).order_by(ours, "-id")
    for run in ended.select_related("base", "judge", "dataset")[:RUNS_LOOKED_AT]:
        speed = _speed(run)
        model = run.base or run.judge
        if speed and (run.base == base or weights.alike(weights.parameters(model), size)):
            yield speed


def _speed(run: TrainingRun) -> Speed | None:
    """None where the run had nothing to do."""
    counts = run.dataset.counts if run.dataset else {}
    done = plans.amount(run.stage, run.hyperparameters, counts=counts, prompts=len(run.inputs.get("prompts", ())))
    seconds = run.result.get("seconds", {})
    if not done or not worked(run):
        return None
    return Speed(each=worked(run) / done, around=sum(seconds.get(part, 0.0) for part in AROUND))
