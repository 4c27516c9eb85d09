"""What is told of a reward model's judgement, against numbers worked out by hand."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
import torch

from tests.algorithms import tiny
from tests.algorithms.conftest import Stage
from training.algorithms import judgement
from training.algorithms.data import Row


def test_pairs_have_the_better_first_and_leave_ties_out() -> None:
    pairs = judgement.pairs_of(torch.tensor([0.0, 3.0, 1.0, 5.0]), [10, 2, 2, 30], [7, 4, 9, 4])
    found = sorted(zip(pairs.margins.tolist(), pairs.gaps.tolist(), pairs.longer.tolist(), strict=True))
    # The second and third beat the first by one place and the fourth by two; the first beats the fourth by one.
    assert found == [(-5.0, 1, 3), (-4.0, 2, 5), (-2.0, 2, 0), (1.0, 1, 2), (3.0, 1, -3)]
    assert judgement.share_right(pairs.margins) == pytest.approx(2 / 5)
    assert judgement.share_right(pairs.longer) == pytest.approx(3.5 / 5)  # equally long: half right


def test_accuracy_is_told_by_the_places_between_two_ranks() -> None:
    eight = judgement.pairs_of(torch.tensor([7.0, 6, 5, 4, 3, 2, 0, 1]), list(range(8)), [1] * 8)
    table = judgement.by_gap(eight)
    assert [(line["gap"], line["pairs"]) for line in table] == [(1, 7), (2, 6), (3, 5), (4, 4), (5, 6)]
    assert [line["accuracy"] for line in table] == pytest.approx([6 / 7, 1, 1, 1, 1])


def test_calibration_compares_what_is_claimed_with_what_is_right() -> None:
    sure, unsure = math.log(0.93 / 0.07), math.log(0.52 / 0.48)
    table = judgement.reliability(torch.tensor([sure, sure, -sure, unsure]))
    assert [line["pairs"] for line in table] == [1, 3]
    assert [line["from"] for line in table] == pytest.approx([0.5, 0.9])
    assert [line["predicted"] for line in table] == pytest.approx([0.52, 0.93])
    assert [line["right"] for line in table] == pytest.approx([1, 2 / 3])
    assert judgement.calibration_error(table) == pytest.approx((0.48 + 3 * (0.93 - 2 / 3)) / 4)


@pytest.mark.parametrize(
    ("margins", "expected"),
    [
        ([2.0, 2.0, 2.0, -2.0], math.log(3) / 2),  # three of four right: σ(2 s) = 3/4
        ([2.0, -2.0], judgement.FLATTEST),  # a guess
        ([-1.0, -3.0], judgement.FLATTEST),  # worse than one
        ([0.1, 0.2], 1.0),  # always right, and not sharpened
        ([], 1.0),  # nothing known
    ],
)
def test_scores_are_scaled_down_to_what_held_out_rankings_bear_out(margins: list[float], expected: float) -> None:
    def loss(scale: float) -> float:
        return sum(math.log1p(math.exp(-scale * margin)) for margin in margins)

    assert judgement.calibrating_scale(loss) == pytest.approx(expected, abs=2e-4)


def test_length_is_compared_among_the_outputs_of_a_prompt_alone() -> None:
    # Within each prompt the longer scores less, though the prompt of long outputs scores more.
    rewards = [torch.tensor([2.0, 1.0]), torch.tensor([12.0, 11.0])]
    assert judgement.length_correlation(rewards, [[1, 2], [101, 102]]) == pytest.approx(-1)


def test_annotators_agree_where_they_order_the_same_outputs_alike() -> None:
    a, b, c = (Row([1], [n]) for n in (5, 6, 7))
    one, other = ([a, b, c], [1.0, 2.0, 3.0]), ([c, b, a], [3.0, 1.0, 1.0])  # the other ties a with b
    assert judgement.agreement([one, other]) == (1.0, 2)
    assert judgement.agreement([one, ([b, a, c], [1.0, 2.0, 3.0])]) == (pytest.approx(2 / 3), 3)
    assert judgement.agreement([one, ([a, b], [1.0, 2.0])]) == (0.0, 0)  # of other outputs


def test_a_gzipped_file_of_scores_trains_and_is_judged(stage: Stage, folders: dict[str, Path], tmp_path: Path) -> None:
    rows = [
        {"prompt": each, "completions": [
            {"text": "good " + each, "score": 0.9, "model": "x"}, {"text": "bad " + each, "score": 0.1},
            {"text": "bad", "score": 0.1}]}
        for each in tiny.sentences(8)
    ]  # fmt: skip
    path = tmp_path / "rankings.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]).encode()))
    assert stage("reward_model", base=folders["llama"], rankings=path, out=tmp_path / "rm", set=["epochs=20"]) == 0
    assert stage("evaluate", reward_model=tmp_path / "rm" / "model", rankings=path, json=tmp_path / "out.json") == 0
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["pairs"] == 18
    assert told["pair_accuracy"] == 1.0  # the planted preference is learnt, so higher scores were taken for better
    assert (told["annotator_agreement"], told["agreement_pairs"]) == (1.0, 2)
    assert sum(line["pairs"] for line in told["reliability"]) == 18
    assert told["accuracy_by_gap"] == [{"gap": 1, "accuracy": 1.0, "pairs": 18}]
    assert 0 <= told["calibration_error"] <= 1
    assert told["longer_wins"] == pytest.approx(0.5, abs=0.5)


def test_rankings_too_long_to_be_judged_are_counted(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    long = {"prompt": "a", "completions": [{"text": "good " * 200, "rank": 1}, {"text": "bad", "rank": 2}]}
    path = tmp_path / "rankings.jsonl"
    path.write_text(Path(files["rankings"]).read_text() + json.dumps(long) + "\n")
    assert stage("reward_model", base=folders["llama"], rankings=files["rankings"], out=tmp_path / "rm") == 0
    assert stage("evaluate", reward_model=tmp_path / "rm" / "model", rankings=path, json=tmp_path / "out.json") == 0
    told = json.loads((tmp_path / "out.json").read_text())
    assert (told["left_out"], told["pairs"]) == (1, 24)


def test_a_ranking_without_ranks_or_scores_is_refused(stage: Stage, folders: dict[str, Path], tmp_path: Path) -> None:
    path = tiny.write(
        tmp_path / "r.jsonl", [{"prompt": "a", "completions": [{"text": "b", "rank": 1}, {"text": "c", "score": 2}]}]
    )
    assert stage("reward_model", base=folders["llama"], rankings=path, out=tmp_path / "rm") == 2
    assert '"rank"' in json.loads((tmp_path / "rm" / "error.json").read_text())["message"]
