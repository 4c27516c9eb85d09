"""A run that is killed or stopped and started again ends with the same weights, bit for bit, as one that never was."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.algorithms.conftest import Forked, lines, start
from training.algorithms import checkpoints, optimisation
from training.algorithms.errors import STOPPED
from training.algorithms.run_folder import Run

STEPS = {"pretrain": 60, "sft": 60, "reward_model": 60, "ppo": 48, "dpo": 60}


@pytest.fixture(scope="module")
def reward_model(folders: dict[str, Path], files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reward_model")
    assert start("reward_model", base=folders["llama"], rankings=files["rankings"], out=out).wait() == 0
    return out / "model"


@pytest.fixture
def runs(folders: dict[str, Path], files: dict[str, str], reward_model: Path) -> dict[str, dict[str, Any]]:
    base = folders["gpt2"]
    return {
        "pretrain": {"texts": files["texts"], "set": ["max_steps=60", "epochs=0"]},
        "sft": {"base": base, "demonstrations": files["demonstrations"], "pretraining": files["texts"],
                "set": ["max_steps=60", "epochs=0", "dropout=0.1"]},
        "reward_model": {"base": base, "rankings": files["rankings"],
                         "set": ["max_steps=60", "epochs=0", "dropout=0.1"]},
        "ppo": {"policy": folders["llama"], "reward_model": reward_model, "prompts": files["prompts"],
                "pretraining": files["texts"],
                "set": ["total_episodes=96", "kl_target=1", "kl_horizon=50", "ema_decay=0.9"]},
        "dpo": {"policy": base, "rankings": files["rankings"], "set": ["max_steps=60", "epochs=0", "dropout=0.1"]},
    }  # fmt: skip


def logged(out: Path) -> int:
    path = out / "metrics.jsonl"
    found = [line for line in path.read_text().split("\n")[:-1] if line] if path.exists() else []
    return len(found)


def wait_for(process: Forked, out: Path, *, rows: int) -> None:
    while process.poll() is None and logged(out) < rows:
        time.sleep(0.005)


def weights(out: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(out / "model" / "model.safetensors")
    return loaded


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("stage", STEPS)
def test_a_run_killed_anywhere_ends_with_the_same_weights(
    stage: str, runs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    unbroken = start(stage, **runs[stage], out=whole)
    kills = 0
    for rows in (1, STEPS[stage] // 8):  # anywhere after so many more rows; a PPO iteration of four updates logs one
        process = start(stage, **runs[stage], out=cut)
        wait_for(process, cut, rows=logged(cut) + rows)
        time.sleep(random.Random(f"{stage}{rows}").random() * 0.05)
        process.send(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills, "the run was over before it could be killed"
    assert start(stage, **runs[stage], out=cut).wait() == 0
    assert unbroken.wait() == 0
    assert same(whole, cut)
    assert lines(cut / "metrics.jsonl")[-1]["step"] == STEPS[stage]


# Where a run can be when it is killed: between the optimisers of one step, in the middle of a checkpoint …
MOMENTS: list[tuple[Any, str]] = [
    (optimisation.Optimiser, "update"), (checkpoints, "write"), (checkpoints, "save_file"), (checkpoints, "_to_disk"),
    (Run, "log"), (checkpoints, "restore"),
]  # fmt: skip


def death(fate: random.Random) -> Callable[[], None]:
    """What makes the process kill itself before or after one of its next calls of one of these functions."""
    (owner, name), late = fate.choice(MOMENTS), fate.random() < 0.5
    at = 1 if name == "restore" else fate.randint(1, 9)  # a process restores once

    def prepare() -> None:
        calls, original = itertools.count(1), getattr(owner, name)

        def dying(*arguments: Any, **options: Any) -> Any:
            now = next(calls) == at
            if now and not late:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **options)
            if now:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, dying)

    return prepare


def check_deaths(stage: str, options: dict[str, Any], tmp_path: Path, *, seed: str, deaths: int) -> None:
    whole, cut, fate = tmp_path / "whole", tmp_path / "cut", random.Random(seed)
    unbroken = start(stage, **options, out=whole)
    killed = sum(
        start(stage, before=death(fate), **options, out=cut).wait() == -signal.SIGKILL for _ in range(deaths)
    )  # fmt: skip
    assert killed >= 2  # the rest may have found it done
    assert start(stage, **options, out=cut).wait() == 0
    assert unbroken.wait() == 0
    assert same(whole, cut)
    assert lines(cut / "metrics.jsonl")[-1]["step"] == STEPS[stage]


@pytest.mark.parametrize(("stage", "lora"), [("sft", 0), ("reward_model", 4), ("ppo", 4)])
def test_a_run_killed_at_its_worst_moments_ends_with_the_same_weights(
    stage: str, lora: int, runs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    options = runs[stage] | {"set": [*runs[stage]["set"], f"lora_rank={lora}"]}
    check_deaths(stage, options, tmp_path, seed=f"{stage}{lora}", deaths=3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stage", STEPS)
def test_a_run_killed_again_and_again_ends_with_the_same_weights(
    stage: str, seed: int, runs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    check_deaths(stage, runs[stage], tmp_path, seed=f"{stage}{seed}", deaths=12)


@pytest.mark.parametrize("stage", ["sft", "ppo"])
def test_a_run_that_is_asked_to_stop_does_so_at_a_checkpoint(
    stage: str, runs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    unbroken = start(stage, **runs[stage], out=whole)
    options = runs[stage] | {"set": [*runs[stage]["set"], "checkpoint_seconds=1000"]}
    process = start(stage, **options, out=cut)
    wait_for(process, cut, rows=2)
    process.send(signal.SIGTERM)
    assert process.wait() == STOPPED
    assert [each.name for each in (cut / "checkpoints").iterdir()] != []
    assert start(stage, **options, out=cut).wait() == 0
    assert unbroken.wait() == 0
    assert same(whole, cut)


def test_a_run_whose_supervisor_is_gone_stops_within_ten_seconds(
    runs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    options = runs["sft"] | {"set": ["max_steps=100000", "epochs=0", "checkpoint_seconds=1000"]}
    process = start("sft", **options, out=tmp_path, supervisor=supervisor.pid)
    wait_for(process, tmp_path, rows=2)
    supervisor.kill()
    supervisor.wait()
    began = time.monotonic()
    assert process.wait() == STOPPED
    assert time.monotonic() - began < 10
    assert len(list((tmp_path / "checkpoints").glob("step-*"))) == 1


def test_a_run_that_hangs_is_ended_all_the_same(tmp_path: Path) -> None:
    hangs = (
        "import time; from training.algorithms import supervision; supervision.PATIENCE = 0.5;"
        "supervision.Supervision(); print('up', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", hangs], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.terminate()
    assert process.wait(timeout=10) == STOPPED


def state(**values: Any) -> checkpoints.State:
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    module(torch.ones(3)).sum().backward()
    optimizer.step()
    return checkpoints.State({"m": module}, {"m": optimizer}, {"t": torch.arange(3)}, {"v": values}, step=1)


def test_a_checkpoint_gives_back_all_it_took(tmp_path: Path) -> None:
    one, other = state(a=1), state()
    checkpoints.write(tmp_path, one)
    drawn = torch.rand(4)
    torch.rand(7)
    assert checkpoints.restore(tmp_path, other)
    assert torch.equal(torch.rand(4), drawn)
    assert torch.equal(other.modules["m"].weight, one.modules["m"].weight)
    assert torch.equal(other.tensors["t"], torch.arange(3))
    assert (other.values, other.step) == ({"v": {"a": 1}}, 1)
    for mine, theirs in zip(one.optimizers["m"].state.values(), other.optimizers["m"].state.values(), strict=True):
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    made = state()
    for step in range(1, 5):
        made.step = step
        checkpoints.write(tmp_path, made)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000003", "step-000000004"]


def test_half_a_checkpoint_is_not_read_and_a_spoilt_one_is_passed_over(tmp_path: Path) -> None:
    made = state()
    for step in (1, 2):
        made.step = step
        checkpoints.write(tmp_path, made)
    half = tmp_path / ".step-000000003.1"
    half.mkdir()
    (half / "state.json").write_text("{")
    spoilt = tmp_path / "step-000000002" / "state.safetensors"
    spoilt.write_bytes(spoilt.read_bytes()[:40])
    assert checkpoints.restore(tmp_path, made)
    assert made.step == 1
    assert not half.exists()


def test_nothing_in_a_run_folder_needs_unpickling(runs: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    assert start("sft", **runs["sft"], out=tmp_path).wait() == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".trainer.lock"]
    kinds = {path.suffix for path in files if not path.name.startswith("events.out.tfevents.")}
    assert kinds <= {".json", ".jsonl", ".safetensors", ".md", ".jinja"}
