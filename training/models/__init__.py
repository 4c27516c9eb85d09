"""The machines' side: frozen datasets, runs, the models they made and the rounds that tie them together."""

from __future__ import annotations

from training.models.artifacts import Dataset, Family, Policy, RewardModel
from training.models.rounds import Round, RoundState
from training.models.runs import RunState, Stage, TrainingRun

__all__ = [
    "Dataset",
    "Family",
    "Policy",
    "RewardModel",
    "Round",
    "RoundState",
    "RunState",
    "Stage",
    "TrainingRun",
]
