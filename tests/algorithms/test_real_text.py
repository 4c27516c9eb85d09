"""The benchmark of real rankings: what its figures are made of, and one fold from end to end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import real_text
from benchmarks.linear_judge import LinearJudge
from benchmarks.real_text import LINEAR, LONGER, OURS, Judged, accuracies, difference, fold_of
from tests.algorithms import tiny


def ranking(prompt: str, *texts: str, ranks: tuple[float, ...] = (1, 2, 2)) -> dict[str, Any]:
    completions = [{"text": text, "rank": rank, "model": "x"} for text, rank in zip(texts, ranks, strict=True)]
    return {"prompt": prompt, "completions": completions}


PLANTED = [ranking(each, f"a good {each}", f"{each} is bad", f"a bad {each}") for each in tiny.sentences(40)]


def test_the_linear_judge_finds_the_word_that_people_like() -> None:
    good, bad, longer = LinearJudge().fit(PLANTED).scores(["a good day", "a bad day", "a bad, bad, bad, bad day"])
    assert good > max(bad, longer)


def test_the_linear_judge_likes_length_where_nothing_else_tells() -> None:
    rows = [ranking(str(i), f"x{i} " * 20, f"y{i} " * 9, f"z{i} " * 4, ranks=(1, 2, 3)) for i in range(20)]
    short, long = LinearJudge().fit(rows).scores(["new " * 5, "words " * 15])
    assert long > short


def test_a_prompt_has_a_fold_and_each_fold_has_prompts() -> None:
    assert fold_of("a prompt") == fold_of("a prompt")
    assert {fold_of(str(i)) for i in range(50)} == set(range(5))


def test_pairs_are_pooled_and_even_scores_are_half_right() -> None:
    class Undecided:
        def scores(self, texts: list[str]) -> torch.Tensor:
            return torch.zeros(len(texts))

    row = ranking("p", "short", "longer by far", "mid size")
    for reward, each in zip((3.0, 1.0, 4.0), row["completions"], strict=True):
        each["reward"] = reward
    judged = real_text.judgement(row, Undecided())
    assert (judged.pairs, judged.right) == (2, {OURS: 1, LONGER: 0, LINEAR: 1})
    other = Judged("q", 6, {OURS: 5.0, LONGER: 4.0, LINEAR: 3.0})
    assert accuracies([judged, other]) == {OURS: 0.75, LONGER: 0.5, LINEAR: 0.5, "pairs": 8}


def test_the_interval_is_over_prompts_and_pairs_the_judges() -> None:
    even = [Judged(str(i), 10, {OURS: 6.0 + i % 3, LONGER: 5.0 + i % 3, LINEAR: 6.0 + i % 3}) for i in range(30)]
    assert difference(even, OURS, LONGER) == {"difference": 0.1, "low": 0.1, "high": 0.1}  # the same on every prompt
    assert difference(even, OURS, LINEAR) == {"difference": 0, "low": 0, "high": 0}
    few = [Judged("a", 10, {OURS: 10.0, LONGER: 0.0}), Judged("b", 10, {OURS: 0.0, LONGER: 9.0})]
    assert difference(few, OURS, LONGER) == {"difference": 0.05, "low": -0.9, "high": 1.0}


def test_the_author_of_an_output_is_what_is_learnt_of_a_chat_about_it() -> None:
    row = ranking("p", "one", "two", ranks=(1, 2))
    for author, each in zip("ab", row["completions"], strict=True):
        each["model"] = author
    chats = [[turn["content"] for turn in chat["messages"]] for chat in real_text.named([row])]
    assert chats == [["p", "one", "Who?", "a"], ["p", "two", "Who?", "b"]]


@pytest.mark.long
@pytest.mark.parametrize("authors", [False, True])
def test_a_fold_runs_from_a_file_to_figures(
    authors: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = {"max_steps": 4, "max_length": 128, "token_budget": 2048}
    shape = {"vocab_size": 320, "hidden_size": 32, "num_layers": 1, "num_heads": 2, "intermediate_size": 48}
    monkeypatch.setattr(real_text, "PRETRAIN", small | shape)
    monkeypatch.setattr(real_text, "AUTHORS", small)
    monkeypatch.setattr(real_text, "REWARD", small | {"learning_rate": 3e-3, "epochs": 4, "max_steps": 0})
    path = tmp_path / "rankings.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in PLANTED).encode()))
    figures = real_text.report(path, [0], folder=tmp_path / "kept", authors=authors)
    held_out = [row for row in PLANTED if fold_of(row["prompt"]) == 0]
    assert figures["pairs"] == 2 * len(held_out)
    assert figures[LINEAR] == 1.0
    (fold,) = figures["folds"]
    assert fold["prompts"] == len(held_out)
    assert fold["cpu_seconds"] > 0
    learnt_from = (tmp_path / "kept" / "0" / "rest.jsonl").read_text() + (tmp_path / "kept/0/texts.jsonl").read_text()
    assert not any(json.dumps(row["prompt"]) in learnt_from for row in held_out)
    again = real_text.report(path, [0], folder=tmp_path / "kept", authors=authors)  # goes on from what was kept
    assert again["folds"] == figures["folds"]
