"""The machines' side: frozen datasets, runs, the models they made and the rounds that tie them together."""

from __future__ import annotations

from training.models.artifacts import Dataset, Family, Policy, RewardModel
from training.models.rounds import Round, RoundStage, RoundState
from training.models.runs import FINAL_STATES, RunState, Stage, TrainingRun

__all__ = [
    "FINAL_STATES",
    "Dataset",
    "Family",
    "Policy",
    "RewardModel",
    "Round",
    "RoundStage",
    "RoundState",
    "RunState",
    "Stage",
    "TrainingRun",
]
