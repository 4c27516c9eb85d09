"""What is said of a round before it starts: how long it takes, what it costs, whether it fits on the disk."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from tests.training.carrying_on import carry_on, start
from tests.training.world import TEST, Lab
from training import estimates, outlook, plans, registry, room, rounds, weights
from training.hyperparameters import settle
from training.models import Policy, Round, Stage, TrainingRun
from training.options import Options

AROUND, WORK = 3.0, 1.0  # what carry_on says that each run took, whatever it had to do


def told(lab: Lab, *, base: Policy | None = None, **options: Any) -> outlook.Outlook:
    return outlook.of_round(lab.project, Options.parse({**TEST, **options}), base=base or lab.base)


def model_of(folder: Path, *, shape: Sequence[int]) -> Path:
    """A model folder whose weights take no room on the disk: the file is one hole behind its header."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "tokenizer.json").write_text("{}")
    count = 1
    for length in shape:
        count *= length
    header = json.dumps({"weight": {"dtype": "F32", "shape": list(shape), "data_offsets": [0, 4 * count]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + 4 * count)
    return folder


def huge(lab: Lab, tmp_path: Path) -> Policy:
    return registry.import_policy(
        lab.project, source=str(model_of(tmp_path / "huge", shape=(2**20, 2**19))), name="huge"
    )


@pytest.mark.parametrize(
    ("stage", "values", "amount"),
    [
        ("sft", {"epochs": 2.0}, 2 * 40),
        ("sft", {"epochs": 2.0, "max_steps": 5, "batch_size": 4}, 20),
        ("reward_model", {"epochs": 1.5}, 1.5 * 30),
        ("dpo", {"epochs": 1.0}, 30),
        ("ppo", {"total_episodes": 64}, 64),
        ("evaluate", {"completions": 2}, 2 * 10 + 7),
        ("sample", {"completions": 4}, 4 * 10),
        ("sample", {"completions": 4, "candidates": 9}, 9 * 10),
        ("best_of_n", {"completions": 16}, 16 * 10),
    ],
)
def test_what_a_stage_has_to_do_follows_from_its_settings_and_rows(
    stage: str, values: dict[str, Any], amount: float
) -> None:
    settings = settle(stage, preset="test", rows={}, values=values)
    counts = {"demonstrations": 40, "rankings": 30, "rankings_held_out": 7}
    assert plans.amount(stage, settings, counts=counts, prompts=10) == amount


def test_where_nothing_has_run_there_is_no_figure(lab: Lab) -> None:
    found = told(lab)
    assert [(each.stage, each.seconds, each.runs) for each in found.estimates] == [
        (stage, None, 0) for stage in ("sft", "reward_model", "ppo", "evaluate", "sample")
    ]
    assert (found.seconds, found.cost) == (None, None)


def test_the_same_round_again_takes_what_it_took(lab: Lab) -> None:
    carry_on(start(lab))
    assert {each.stage: each.seconds for each in told(lab).estimates} == {
        Stage(stage): pytest.approx(WORK + AROUND) for stage in ("sft", "reward_model", "ppo", "evaluate", "sample")
    }
    assert told(lab).seconds == pytest.approx(5 * (WORK + AROUND))


def test_twice_as_much_to_do_takes_twice_the_work_and_not_twice_the_start(lab: Lab) -> None:
    carry_on(start(lab))
    twice = {"sft": {"epochs": 4.0}, "ppo": {"total_episodes": 48}}
    found = {each.stage: each.seconds for each in told(lab, hyperparameters=twice, prompts=16).estimates}
    for stage in (Stage.SFT, Stage.PPO, Stage.SAMPLE):
        assert found[stage] == pytest.approx(2 * WORK + AROUND)
    assert found[Stage.REWARD_MODEL] == pytest.approx(WORK + AROUND)


def test_the_median_of_the_last_runs_is_told(lab: Lab) -> None:
    for seconds in (1.0, 2.0, 60.0):
        run = carry_on(start(lab, stages=["reward_model"])).runs.get(stage="reward_model")
        TrainingRun.objects.filter(pk=run.pk).update(result={"seconds": {"training": seconds}})
    (reward, _evaluation) = told(lab, stages=["reward_model"]).estimates
    assert (reward.seconds, reward.runs) == (pytest.approx(2.0), 3)


def test_one_stage_without_a_figure_leaves_the_round_without_one(lab: Lab) -> None:
    carry_on(start(lab))
    found = told(lab, stages=["sft", "dpo"])
    assert {each.stage for each in found.estimates if each.seconds is None} == {Stage.DPO}
    assert found.seconds is None


def test_runs_on_models_of_another_size_say_nothing(lab: Lab, tmp_path: Path) -> None:
    carry_on(start(lab, stages=["sft"]))
    assert told(lab, stages=["sft"], base=huge(lab, tmp_path)).estimates[0].seconds is None


def test_other_projects_runs_count_where_this_one_has_none(lab: Lab) -> None:
    carry_on(start(lab, stages=["sft"]))
    theirs = registry.import_policy(lab.people.next_door, source=str(lab.base.folder), name="base")
    settled = plans.settings_of(lab.people.next_door, Options.parse(TEST), base=theirs, counts={"demonstrations": 1})
    (found, *_others) = estimates.of_round(
        lab.people.next_door, Options.parse(TEST), base=theirs, counts={"demonstrations": 1}, settled=settled
    )
    assert found.runs == 1


def test_a_rate_per_hour_makes_a_cost(lab: Lab) -> None:
    carry_on(start(lab))
    with override_settings(COMPUTE_RATE=(Decimal("3.60"), "EUR")):
        cost = told(lab).cost
    assert cost is not None
    assert (round(cost[0], 4), cost[1]) == (Decimal("0.0200"), "EUR")


def test_weights_are_counted_by_the_headers_alone(lab: Lab, tmp_path: Path) -> None:
    assert weights.parameters(huge(lab, tmp_path)) == 2**39
    assert weights.parameters(Policy(path="models/gone")) is None
    from_the_hub = registry.register_policy(lab.project, name="hub", source="org/name")
    assert weights.parameters(from_the_hub) is None
    registry.register_policy(lab.project, name="tuned", folder=lab.base.folder, parent=from_the_hub)
    assert weights.parameters(from_the_hub) == weights.parameters(lab.base)


@pytest.mark.parametrize(
    ("options", "disk"),
    [
        ({"stages": ["sft"]}, 4 + 3 * 12),
        ({"stages": ["sft"], "hyperparameters": {"sft": {"lora_rank": 8}}}, 4),
        ({"stages": ["sft", "reward_model"]}, 2 * 4 + 3 * 12),
        # PPO trains policy and value model, and keeps a moving average of the one
        ({"stages": ["sft", "reward_model", "ppo"]}, 3 * 4 + 3 * (2 * 12 + 4)),
        ({"hyperparameters": {"ppo": {"ema_decay": 0.0}}}, 3 * 4 + 3 * 2 * 12),
    ],
)
def test_the_disk_holds_the_models_made_and_three_checkpoints_of_the_largest_stage(
    lab: Lab, options: dict[str, Any], disk: int
) -> None:
    size = weights.parameters(lab.base)
    assert size is not None
    assert told(lab, **options).room.disk == size * disk


def test_a_checkpoint_takes_the_bytes_that_are_reckoned_with(tmp_path: Path) -> None:
    from tests.algorithms import test_ppo_golden, tiny
    from training.algorithms import ppo
    from training.algorithms.run_folder import Run

    base = tiny.build("llama", tmp_path / "base")
    made, run = test_ppo_golden.trainer(str(base)), Run(tmp_path / "run")
    ppo.fit(run, made)
    size = sum(each.numel() for each in made.policy.parameters())
    *_, newest = sorted(run.checkpoints.glob("step-*/state.safetensors"))
    reckoned = size * (2 * room.CHECKPOINT + room.WEIGHT)  # policy and value model, and the moving average
    assert newest.stat().st_size == pytest.approx(reckoned, rel=0.1)


def test_memory_is_told_by_the_largest_stage(lab: Lab) -> None:
    size = weights.parameters(lab.base)
    assert size is not None
    assert told(lab, stages=["sft"]).room.memory == size * 16
    # two that learn, with gradients and Adam's means; two that are asked; the moving average
    assert told(lab).room.memory == size * (2 * 16 + 2 * 4 + 4)


def test_what_the_disk_has_no_room_for_is_refused_before_it_starts(lab: Lab, tmp_path: Path) -> None:
    base = huge(lab, tmp_path)
    found = told(lab, base=base).room
    assert found.disk_is_short
    with pytest.raises(rounds.RoundRefused, match=r"take 48.0\sTB at the fullest moment, and .* are free") as refused:
        start(lab, base=base.pk)
    assert "lora_rank" in str(refused.value)
    assert not Round.objects.exists()


def test_short_memory_is_no_reason_to_refuse_as_the_worker_may_be_elsewhere(lab: Lab) -> None:
    fits = room.Room(disk=1, disk_free=2, memory=3, memory_free=2)
    assert fits.memory_is_short
    assert fits.problem() == ""
