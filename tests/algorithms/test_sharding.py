"""Models in pieces over two processes learn what whole ones do, and end in ordinary folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.tensor import DTensor

from tests.algorithms.conftest import ROOT, Runs, flags, lines, start, start_two
from tests.algorithms.test_distributed import check_same, difference, kill_two, longer
from training.algorithms import optimisation
from training.algorithms.errors import USER_CAN_FIX

# As accelerate sets them; the last by default.
IN_PIECES = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}


@pytest.mark.parametrize(("stage", "lora"), [("sft", 0), ("reward_model", 0), ("ppo", 0), ("dpo", 0), ("ppo", 4)])
def test_models_in_pieces_learn_what_whole_ones_do(stage: str, lora: int, runs: Runs, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    options = runs[stage] | {"set": [*runs[stage]["set"], f"lora_rank={lora}"]}
    one, two = start(stage, **options, out=alone), start_two(stage, **options, out=shared, environment=IN_PIECES)
    assert [each.wait() for each in (one, *two)] == [0, 0, 0]
    check_same(alone, shared)


@pytest.mark.long
@pytest.mark.parametrize("lora", [0, 4])
@pytest.mark.parametrize("stage", ["pretrain", "sft", "reward_model", "dpo", "ppo"])
def test_all_families_learn_in_pieces_and_in_small_parts(
    stage: str, lora: int, family: str, folders: dict[str, Path], files: dict[str, str], runs: Runs, tmp_path: Path
) -> None:
    judge, base = tmp_path / "judge", folders[family]
    assert start("reward_model", base=base, rankings=files["rankings"], out=judge).wait() == 0
    options: dict[str, Any] = runs.get(stage, {"texts": files["texts"], "base": base, "set": []})
    others = {"base": base, "policy": base, "reward_model": judge / "model", "judge": judge / "model"}
    options |= {name: path for name, path in others.items() if name in options}
    # More parts in the one process than in the other, and layers that are gathered again in the backward pass. A small
    # epsilon would make steps of the rounding of gradients that are 0, as those of GPT-2's key biases are.
    options["set"] = [*options["set"], f"lora_rank={lora}", "token_budget=128", "gradient_checkpointing=true",
                      "adam_epsilon=1e-3"]  # fmt: skip
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    one, two = start(stage, **options, out=alone), start_two(stage, **options, out=shared, environment=IN_PIECES)
    assert [each.wait() for each in (one, *two)] == [0, 0, 0]
    assert difference(alone, shared) < 1e-5


def test_each_process_holds_half(runs: Runs, tmp_path: Path) -> None:
    def count_after_updates() -> None:
        original = optimisation.Optimiser.update

        def update(self: optimisation.Optimiser, step: int) -> dict[str, float]:
            figures = original(self, step)
            held = [*self.parameters, *(self.adam.state[each]["exp_avg"] for each in self.parameters)]
            assert all(isinstance(each, DTensor) for each in held)
            sizes = {"all": sum(each.numel() for each in held), "own": sum(each.to_local().numel() for each in held)}
            (tmp_path / os.environ["RANK"]).write_text(json.dumps(sizes))
            return figures

        optimisation.Optimiser.update = update  # type: ignore[method-assign]

    options = runs["sft"] | {"out": tmp_path / "run", "environment": IN_PIECES}
    assert [each.wait() for each in start_two("sft", before=count_after_updates, **options)] == [0, 0]
    for rank in "01":
        sizes = json.loads((tmp_path / rank).read_text())
        assert sizes["own"] == pytest.approx(sizes["all"] / 2, rel=0.02)


@pytest.mark.parametrize("stage", ["sft", "ppo"])
def test_models_in_pieces_that_are_killed_go_on(stage: str, runs: Runs, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    options = longer(stage, runs)
    assert [each.wait() for each in start_two(stage, **options, out=whole, environment=IN_PIECES)] == [0, 0]
    kill_two(stage, options, out=cut, environment=IN_PIECES)
    assert [each.wait() for each in start_two(stage, **options, out=cut, environment=IN_PIECES)] == [0, 0]
    assert difference(whole, cut) == 0


def test_a_checkpoint_of_pieces_is_whole_and_one_process_goes_on_from_it(runs: Runs, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    options = longer("dpo", runs)
    assert start("dpo", **options, out=whole).wait() == 0
    kill_two("dpo", options, out=cut, environment=IN_PIECES)
    killed_at = lines(cut / "metrics.jsonl")[-1]["step"]
    assert start("dpo", **options, out=cut).wait() == 0
    steps = [line["step"] for line in lines(cut / "metrics.jsonl")]
    assert steps[steps.index(killed_at) + 1] > 1  # it did go on, and did not begin anew
    assert difference(whole, cut) < 1e-5


def test_accelerate_starts_two_with_models_in_pieces(runs: Runs, tmp_path: Path) -> None:
    launcher = ["accelerate.commands.launch", "--config_file", "config/fsdp.yaml", "--num_processes", "2",
                "--main_process_port", "0", "-m"]  # fmt: skip
    given = flags("sft", **runs["sft"], out=tmp_path / "shared")
    subprocess.run(
        [sys.executable, "-m", *launcher, "training.algorithms", *given],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, timeout=240,
    )  # fmt: skip
    assert start("sft", **runs["sft"], out=tmp_path / "alone").wait() == 0
    check_same(tmp_path / "alone", tmp_path / "shared")


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ({"FSDP_VERSION": "1"}, "Set fsdp_version to 2."),
        ({"FSDP_OFFLOAD_PARAMS": "true"}, "Set fsdp_offload_params to false"),
        ({"FSDP_TRANSFORMER_CLS_TO_WRAP": "NoSuchLayer"}, "has no layer of the kind NoSuchLayer"),
    ],
)
def test_what_cannot_be_is_refused(setting: dict[str, str], remedy: str, runs: Runs, tmp_path: Path) -> None:
    begun = start_two("sft", **runs["sft"], out=tmp_path, environment=IN_PIECES | setting)
    assert [each.wait() for each in begun] == [USER_CAN_FIX] * 2
    assert remedy in json.loads((tmp_path / "error.json").read_text())["message"]
