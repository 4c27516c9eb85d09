"""What an evaluation keeps of every prompt, from which the intervals of its figures are made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.algorithms.conftest import Stage
from training.algorithms.data import Row
from training.algorithms.evaluation import BY_PROMPT, _by_prompt, _judged_by_prompt
from training.algorithms.hyperparameters import Evaluate
from training.algorithms.rankings import Ranking


def test_every_figure_is_what_its_prompts_gave(
    stage: Stage, folders: dict[str, Path], files: dict[str, str], tmp_path: Path
) -> None:
    assert stage("reward_model", base=folders["llama"], rankings=files["rankings"], out=tmp_path / "rm") == 0
    assert stage("sft", base=folders["llama"], demonstrations=files["demonstrations"], out=tmp_path / "sft") == 0
    rankings = tmp_path / "rankings.jsonl"
    given = Path(files["rankings"]).read_text()
    rankings.write_text(given + given.split("\n")[0] + "\n")  # of one prompt there are two, which agree
    assert stage("evaluate", policy=tmp_path / "sft" / "model", reference=folders["llama"], prompts=files["prompts"],
                 reward_model=tmp_path / "rm" / "model", rankings=rankings, json=tmp_path / "told.json",
                 set=["completions=3"]) == 0  # fmt: skip
    told = json.loads((tmp_path / "told.json").read_text())
    kept = json.loads((tmp_path / "told.json.run" / BY_PROMPT).read_text())
    assert set(kept) == {
        "mean_length", "finished", "kl", "kl_k3", "mean_reward", "ranking_loss", "pair_accuracy", "longer_wins",
        "annotator_agreement",
    }  # fmt: skip
    for name, rows in kept.items():
        assert sum(total for total, _of in rows) / sum(of for _total, of in rows) == pytest.approx(
            told[name], rel=1e-4, abs=1e-6
        ), name
    assert [of for _total, of in kept["kl"]] == [3] * 12
    assert sum(of for _total, of in kept["pair_accuracy"]) == told["pairs"]
    assert len(kept["pair_accuracy"]) < len(rankings.read_text().splitlines())
    assert len(kept["annotator_agreement"]) == 1


def test_rows_are_gathered_by_the_prompt_that_they_answer() -> None:
    assert _by_prompt({"kl": [1.0, 2.0, 4.0], "finished": [True, False, True]}, [5, 0, 5]) == {
        "kl": [(5.0, 2), (2.0, 1)], "finished": [(2.0, 2), (0.0, 1)],
    }  # fmt: skip


def test_rankings_are_gathered_by_their_prompt() -> None:
    """By hand: of prompt 7 five pairs, four right; of the two that neither ties two people order both alike."""

    def ranking(prompt: int, ranks: list[float]) -> Ranking:
        return Ranking([Row([prompt], [token] * token) for token in range(1, len(ranks) + 1)], ranks)

    one, other, apart = ranking(7, [1, 2, 3]), ranking(7, [1, 1, 2]), ranking(8, [1, 2])
    kept = _judged_by_prompt(
        [
            (one, torch.tensor([3.0, 2.0, 1.0])),
            (apart, torch.tensor([0.0, 0.0])),
            (other, torch.tensor([2.0, 0.0, 1.0])),
        ],
        settings=Evaluate(),
    )
    assert kept["pair_accuracy"] == [(pytest.approx(3 + 1), 5), (0.5, 1)]
    assert kept["longer_wins"] == [(0.0, 5), (0.0, 1)]  # in each of them the better is the shorter
    assert kept["annotator_agreement"] == [(2.0, 2)]
    even = torch.log(torch.tensor(2.0)).item()
    assert kept["ranking_loss"][1] == (pytest.approx(even), 1)
