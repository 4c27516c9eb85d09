"""How far annotators agree, and what else a person should know who judges their work.

Figures over plain data: a Judgement is one ranking. They are signals for a person to look into, never verdicts.
"""

from __future__ import annotations

from annotation.quality.agreement import Agreement, agreement, krippendorff_alpha, pairwise_agreement, shared
from annotation.quality.judgements import BY_CHANCE, Judgement, Who, judgements_of
from annotation.quality.signals import (
    Position,
    Written,
    agreement_with,
    median_seconds,
    mostly_pasted,
    position_bias,
    self_consistency,
    straight_lined,
)

__all__ = [
    "BY_CHANCE",
    "Agreement",
    "Judgement",
    "Position",
    "Who",
    "Written",
    "agreement",
    "agreement_with",
    "judgements_of",
    "krippendorff_alpha",
    "median_seconds",
    "mostly_pasted",
    "pairwise_agreement",
    "position_bias",
    "self_consistency",
    "shared",
    "straight_lined",
]
