"""From a run that has ended to its figures: the worker's part, done once however often it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from training.evaluation import policies, reward_models
from training.messages import nudge
from training.models import Stage, TrainingRun

log = logging.getLogger(__name__)

FIGURES: dict[str, Callable[[TrainingRun], dict[str, Any]]] = {
    Stage.SAMPLE: policies.figures,
    Stage.SCORE: reward_models.figures,
}


def measure(run_id: int) -> None:
    """Put the figures beside the run's other results. What can't be read is noted there, and not tried again."""
    run = TrainingRun.objects.unmeasured().filter(pk=run_id).select_related("dataset").first()
    if run is None:
        return
    try:
        found = {"evaluation": FIGURES[run.stage](run)}
    except (OSError, ValueError, KeyError) as error:
        log.warning("Run %s could not be measured: %r", run.pk, error)
        found = {"evaluation": {"problem": repr(error)}}
    TrainingRun.objects.unmeasured().filter(pk=run_id).update(result={**run.result, **found})


def sweep() -> None:
    """Remind of runs whose message was lost."""
    for pk in TrainingRun.objects.unmeasured().values_list("pk", flat=True):
        nudge("measure", pk)
