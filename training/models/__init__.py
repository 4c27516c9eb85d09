"""The machines' side: frozen datasets, runs, the models they made and the rounds that tie them together."""

from __future__ import annotations

from training.models.artifacts import Dataset, Family, Policy, RewardModel
from training.models.automatic import AutomaticRounds, Pause
from training.models.external import (
    ExternalModel,
    OutputRequest,
    OutputState,
    RequestState,
    WantedOutput,
    WantedSet,
)
from training.models.gates import Gate, GateDecision, GateOutcome, GatePair, PairState
from training.models.pushes import Push, PushState
from training.models.rounds import FIRST, GATED, LAST, USUAL, Round, RoundStage, RoundState, road
from training.models.runs import FINAL_STATES, RunState, Stage, TrainingRun

__all__ = [
    "FINAL_STATES",
    "FIRST",
    "GATED",
    "LAST",
    "USUAL",
    "AutomaticRounds",
    "Dataset",
    "ExternalModel",
    "Family",
    "Gate",
    "GateDecision",
    "GateOutcome",
    "GatePair",
    "OutputRequest",
    "OutputState",
    "PairState",
    "Pause",
    "Policy",
    "Push",
    "PushState",
    "RequestState",
    "RewardModel",
    "Round",
    "RoundStage",
    "RoundState",
    "RunState",
    "Stage",
    "TrainingRun",
    "WantedOutput",
    "WantedSet",
    "road",
]
