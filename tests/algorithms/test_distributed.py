"""Two processes that share a run do what one would have done with the same batches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.algorithms.conftest import ROOT, Runs, flags, lines, start, start_two
from training.algorithms.errors import USER_CAN_FIX


def difference(one: Path, other: Path) -> float:
    first, second = (load_file(out / "model" / "model.safetensors") for out in (one, other))
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def check_same(alone: Path, shared: Path) -> None:
    """The two runs ended with the same weights and files, and logged the same on their way."""
    assert difference(alone, shared) < 1e-5
    for mine, theirs in zip(lines(alone / "metrics.jsonl"), lines(shared / "metrics.jsonl"), strict=True):
        timed = {"seconds", "tokens_per_second"}
        assert {name: theirs[name] for name in mine.keys() - timed} == pytest.approx(
            {name: mine[name] for name in mine.keys() - timed}, abs=2e-5
        )
    for folder in (".", "model"):
        assert {path.name for path in (shared / folder).iterdir()} == {path.name for path in (alone / folder).iterdir()}


@pytest.mark.parametrize(("stage", "lora"), [("sft", 0), ("reward_model", 0), ("ppo", 0), ("dpo", 0), ("ppo", 4)])
def test_two_processes_learn_what_one_does(stage: str, lora: int, runs: Runs, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    options = runs[stage] | {"set": [*runs[stage]["set"], f"lora_rank={lora}"]}
    one, two = start(stage, **options, out=alone), start_two(stage, **options, out=shared)
    assert [each.wait() for each in (one, *two)] == [0, 0, 0]
    check_same(alone, shared)


def test_accelerate_starts_two(runs: Runs, tmp_path: Path) -> None:
    launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0", "-m"]
    given = flags("sft", **runs["sft"], out=tmp_path / "shared")
    subprocess.run(
        [sys.executable, "-m", *launcher, "training.algorithms", *given],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, timeout=240,
    )  # fmt: skip
    assert start("sft", **runs["sft"], out=tmp_path / "alone").wait() == 0
    check_same(tmp_path / "alone", tmp_path / "shared")


def longer(stage: str, runs: Runs) -> dict[str, Any]:
    more = {"sft": ["epochs=12", "dropout=0.1"], "ppo": ["total_episodes=60"], "dpo": ["epochs=4"]}[stage]
    return runs[stage] | {"set": [*runs[stage]["set"], *more]}


def kill_two(stage: str, options: dict[str, Any], *, out: Path, environment: dict[str, str] | None = None) -> None:
    """Begin a run in two processes, and kill both once there is a checkpoint."""
    broken = start_two(stage, **options, out=out, environment=environment)
    while not len(list(out.glob("checkpoints/step-*"))) or not (out / "metrics.jsonl").exists():
        time.sleep(0.01)
    for each in broken:
        each.send(signal.SIGKILL)
    assert [each.wait() for each in broken] == [-signal.SIGKILL] * 2


@pytest.mark.parametrize("stage", ["sft", "ppo"])
def test_two_processes_that_are_killed_go_on_together(stage: str, runs: Runs, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    options = longer(stage, runs)
    assert [each.wait() for each in start_two(stage, **options, out=whole)] == [0, 0]
    kill_two(stage, options, out=cut)
    assert [each.wait() for each in start_two(stage, **options, out=cut)] == [0, 0]
    assert difference(whole, cut) == 0


def test_two_processes_that_are_asked_stop_at_the_same_step(runs: Runs, tmp_path: Path) -> None:
    options = runs["sft"] | {"set": [*runs["sft"]["set"], "epochs=100000", "checkpoint_seconds=1000"]}
    asked, other = start_two("sft", **options, out=tmp_path)
    while not (tmp_path / "metrics.jsonl").exists():
        time.sleep(0.01)
    other.send(signal.SIGTERM)  # one hears of it, and tells
    assert [each.wait() for each in (asked, other)] == [75, 75]
    assert len(list(tmp_path.glob("checkpoints/step-*"))) == 1


def test_what_one_process_refuses_is_written_down(runs: Runs, tmp_path: Path) -> None:
    options = runs["sft"] | {"set": ["learning_rate=1e30", "max_grad_norm=0"]}
    assert [each.wait() for each in start_two("sft", **options, out=tmp_path)] == [USER_CAN_FIX] * 2
    assert "diverged" in (tmp_path / "error.json").read_text()


def test_deepspeed_is_refused(runs: Runs, tmp_path: Path) -> None:
    asked = {"ACCELERATE_USE_DEEPSPEED": "true"}
    assert [each.wait() for each in start_two("sft", **runs["sft"], out=tmp_path, environment=asked)] == [2, 2]
    assert "Choose distributed_type FSDP" in (tmp_path / "error.json").read_text()
