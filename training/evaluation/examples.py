"""People's answers before a prompt, so that a policy sees by them what is wanted (few-shot, arXiv 2005.14165, 2.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from training.evaluation.rows import Row
from training.parquet import answer, messages


class TooFew(ValueError):
    """There are fewer answers of different prompts than were asked for; `found` of them."""

    def __init__(self, found: int) -> None:
        super().__init__(f"{found} answers of different prompts were found")
        self.found = found


def before(asked: Sequence[Row], answers: Iterable[Row], *, shots: int, seed: int) -> list[Row]:
    """The prompts with `shots` of the answers before each, as turns; `examples` says of which demonstrations.

    asked: rows with id, prompt and language. answers: a dataset's demonstrations that train. Each prompt has examples
    of its own, drawn by its id and the seed from the answers in its language; from all, where these are fewer. Of a
    prompt that several people answered, one answer is there to be drawn. Raises TooFew.
    """
    of_prompt = {str(row["prompt"]): row for row in answers}
    every = list(of_prompt.values())
    if len(every) < shots:
        raise TooFew(len(every))
    by_language: dict[str, list[Row]] = {}
    for row in every:
        by_language.setdefault(row["language"], []).append(row)
    found = []
    for row in asked:
        own = by_language.get(row["language"], [])
        pool = own if len(own) >= shots else every
        drawn = np.random.default_rng([seed, row["id"]]).choice(len(pool), size=shots, replace=False)
        examples = [pool[number] for number in drawn]
        turns: list[Any] = [turn for each in examples for turn in messages(each["prompt"]) + answer(each["completion"])]
        asks = {"prompt": turns + messages(row["prompt"])} if turns else {}
        found.append({**row, **asks, "examples": [each["id"] for each in examples]})
    return found
