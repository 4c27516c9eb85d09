"""The rows of a dataset's files, as training.algorithms reads them. `id`: the record that a row was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from annotation.models import Demonstration, Prompt, Ranking

Text = str | list[dict[str, str]]


class PromptRow(TypedDict):
    id: int
    prompt: Text


class InstructionRow(PromptRow):
    kind: str
    use_case: str
    language: str
    split: str
    pool: str


class DemonstrationRow(TypedDict):
    id: int
    prompt: Text
    completion: str


class RankedCompletion(TypedDict):
    text: str
    rank: int
    rating: int | None


class RankingRow(TypedDict):
    id: int
    prompt: Text
    completions: list[RankedCompletion]


def prompt_row(prompt: Prompt) -> PromptRow:
    return {"id": prompt.pk, "prompt": prompt.as_column()}


def instruction_row(prompt: Prompt) -> InstructionRow:
    return {
        **prompt_row(prompt),
        "kind": prompt.kind,
        "use_case": prompt.use_case,
        "language": prompt.language,
        "split": prompt.split,
        "pool": prompt.pool,
    }


def demonstration_row(demonstration: Demonstration) -> DemonstrationRow:
    return {"id": demonstration.pk, "prompt": demonstration.prompt.as_column(), "completion": demonstration.text}


def ranking_row(ranking: Ranking, texts: Mapping[int, str]) -> RankingRow:
    """The completions in the order in which they were made, so that the order shown tells nothing."""
    ratings: dict[str, Any] = ranking.ratings
    completions: list[RankedCompletion] = [
        {"text": texts[completion], "rank": rank, "rating": ratings.get(str(completion))}
        for completion, rank in sorted(ranking.ranks().items())
    ]
    return {"id": ranking.pk, "prompt": ranking.prompt.as_column(), "completions": completions}
