from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.simulation.__main__ import later_over_first, main, tables


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.02, "high": mean + 0.02, "n": 1000}


def entry(number: int, *, ppo: list[float]) -> dict[str, Any]:
    return {
        "round": number,
        "rankings": 1900 * number,
        "held_out_rankings": 380,
        "held_out_pairs": 2000,
        "annotator_agreement": 0.78,
        "gold_accuracy": 0.81,
        "reward_accuracy": 0.75,
        "reward_accuracy_clear": 0.89,
        "gold": {"base": interval(0.4), "sft": interval(0.6), "ppo": interval(0.8)},
        "gold_gain": {"sft_over_base": interval(0.2), "ppo_over_sft": interval(0.2)},
        "gold_by_prompt": {"base": [0.4, 0.4], "sft": [0.6, 0.6], "ppo": ppo},
        "gold_without_stock_faults": {"base": interval(0.5), "sft": interval(0.6), "ppo": interval(0.8)},
        "gold_of_other_roads": {
            "sft_at_0.25": interval(0.7),
            "sft_at_0.5": interval(0.65),
            "ppo_at_0.25": interval(0.9),
            "sft_best_of_16": interval(0.75),
        },
        "win_rate_ppo_over_sft": interval(0.66),
        "kl": 1.2345,
        "mean_length": {"base": 50.0, "sft": 52.0, "ppo": 61.0},
        "overhead_seconds": 13.2,
        "seconds": {"pretrain": 155.0},
    }


def report(seed: int, *rounds: dict[str, Any]) -> dict[str, Any]:
    return {"seed": seed, "rounds": list(rounds), "wall_seconds": 750.0}


def test_every_round_of_every_study_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for seed in (0, 1):
        file = tmp_path / f"{seed}.json"
        file.write_text(json.dumps(report(seed, entry(1, ppo=[0.8, 0.8]), entry(2, ppo=[0.9, 0.9]))))
        files.append(str(file))

    assert main(files) == 0

    printed = capsys.readouterr().out
    assert printed.count("| 1 | 2 |") == 3  # seed 1, round 2: in the tables of gold, of other roads and of rewards
    assert "| 0.700 [0.680, 0.720] (T 0.25) | 0.900 [0.880, 0.920] |" in printed
    assert "| 0 | 12.5 | 155 | 13.2, 13.2 |" in printed


def test_what_the_reward_model_falls_short_of_is_the_gold_and_not_certainty() -> None:
    assert any("| 0.810 | 0.750 | 0.060 | 0.890 |" in line for line in tables([report(0, entry(1, ppo=[0.8, 0.8]))]))


def test_accuracies_are_pooled_by_pairs_and_not_by_studies() -> None:
    small = entry(1, ppo=[0.8, 0.8]) | {"held_out_pairs": 500, "reward_accuracy": 0.65}
    found = tables([report(0, entry(1, ppo=[0.8, 0.8])), report(1, small)])
    assert "Round 1 of all studies: 2500 held-out pairs, gold 0.810, reward model 0.730, 0.080 below." in found


def test_rounds_are_compared_prompt_by_prompt_over_all_studies() -> None:
    rose = report(0, entry(1, ppo=[0.2, 0.8]), entry(2, ppo=[0.3, 0.9]))
    fell = report(1, entry(1, ppo=[0.5, 0.5]), entry(2, ppo=[0.4, 0.4]))

    assert later_over_first([rose]) == {"mean": 0.1, "low": 0.1, "high": 0.1, "n": 2}
    pooled = later_over_first([rose, fell])
    assert pooled is not None
    assert pooled["mean"] == pytest.approx(0)
    assert pooled["low"] < 0 < pooled["high"]


def test_a_study_of_one_round_has_nothing_to_compare() -> None:
    assert later_over_first([report(0, entry(1, ppo=[0.8, 0.8]))]) is None


def test_without_files_it_says_what_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "manage.py simulate" in capsys.readouterr().err
