"""The rows of a dataset's files, as training.algorithms reads them. `id`: the record that a row was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

from annotation import exporting
from annotation.models import Demonstration, Project, Prompt, Ranking

Text = str | list[dict[str, str]]


class Output(NamedTuple):
    """A completion and the name of the generator that wrote it."""

    text: str
    model: str


class PromptRow(TypedDict):
    id: int
    prompt: Text


class InstructionRow(PromptRow):
    kind: str
    use_case: str
    language: str
    split: str
    pool: str
    harmful: bool
    author: str | None


class Judged(TypedDict):
    """What the row of a person's work says besides the work: of which prompt it is, who did it under what rules."""

    prompt_id: int
    use_case: str
    language: str
    guidelines: int | None


class DemonstrationRow(Judged):
    id: int
    prompt: Text
    completion: str
    author: str | None


class RankedCompletion(TypedDict):
    text: str
    rank: int
    rating: int | None
    model: str


class RankingRow(Judged):
    id: int
    prompt: Text
    completions: list[RankedCompletion]
    annotator: str | None


def prompt_row(prompt: Prompt) -> PromptRow:
    return {"id": prompt.pk, "prompt": prompt.as_column()}


def instruction_row(project: Project, prompt: Prompt) -> InstructionRow:
    return {
        **prompt_row(prompt),
        "kind": prompt.kind,
        "use_case": prompt.use_case,
        "language": prompt.language,
        "split": prompt.split,
        "pool": prompt.pool,
        "harmful": prompt.harmful,
        "author": person(project, prompt),
    }


def demonstration_row(project: Project, demonstration: Demonstration) -> DemonstrationRow:
    return {
        "id": demonstration.pk,
        "prompt": demonstration.prompt.as_column(),
        "completion": demonstration.text,
        "author": person(project, demonstration),
        **_judged(demonstration),
    }


def ranking_row(project: Project, ranking: Ranking, outputs: Mapping[int, Output]) -> RankingRow:
    """The completions in the order in which they were made, so that the order shown tells nothing."""
    ratings: dict[str, Any] = ranking.ratings
    completions: list[RankedCompletion] = [
        {
            "text": outputs[completion].text,
            "rank": rank,
            "rating": ratings.get(str(completion)),
            "model": outputs[completion].model,
        }
        for completion, rank in sorted(ranking.ranks().items())
    ]
    return {
        "id": ranking.pk,
        "prompt": ranking.prompt.as_column(),
        "completions": completions,
        "annotator": person(project, ranking),
        **_judged(ranking),
    }


def person(project: Project, record: Prompt | Demonstration | Ranking) -> str | None:
    """A pseudonym, for names that came in files too: a file from elsewhere may hold real ones."""
    name = exporting.signature(project, record)
    if name is None or exporting.PSEUDONYM.fullmatch(name):
        return name
    return exporting.pseudonym(project, f"file:{name}")


def _judged(record: Demonstration | Ranking) -> Judged:
    return {
        "prompt_id": record.prompt_id,
        "use_case": record.prompt.use_case,
        "language": record.prompt.language,
        "guidelines": exporting.guidelines_of(record),
    }
