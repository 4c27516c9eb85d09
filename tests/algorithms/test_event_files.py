"""What a run writes for TensorBoard, read by TensorBoard itself."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from tests.algorithms.conftest import lines, start
from training.algorithms.event_files import NAME, Events
from training.algorithms.run_folder import Follower, Run


def read(folder: Path) -> dict[str, dict[int, float]]:
    """By name and step, as TensorBoard shows them."""
    found = EventAccumulator(str(folder)).Reload()
    return {name: {each.step: each.value for each in found.Scalars(name)} for name in found.Tags()["scalars"]}


def steps(folder: Path) -> list[int]:
    """Of each event in the file, without what TensorBoard would make of it."""
    return [event.step for event in EventFileLoader(str(folder / NAME)).Load() if event.WhichOneof("what") == "summary"]


def test_tensorboard_reads_every_metric_of_every_step(tmp_path: Path) -> None:
    run = Run(tmp_path)
    began = time.time()
    for step in range(1, 300):
        run.log(step, 300, {"objective/reward": step / 8, "größe": -1.5, "lost": float("nan")})
    found = read(tmp_path)
    assert found["objective/reward"] == {step: step / 8 for step in range(1, 300)}
    assert found["größe"] == dict.fromkeys(range(1, 300), -1.5)
    assert found.keys() == {"objective/reward", "größe"}
    times = [each.wall_time for each in EventAccumulator(str(tmp_path)).Reload().Scalars("größe")]
    assert began <= times[0] <= times[-1] <= time.time()


@pytest.mark.parametrize("seconds", [0, 60])  # between checkpoints: after every step, and never
def test_a_run_that_was_killed_and_resumed_tells_each_step_once(
    folders: dict[str, Path], files: dict[str, str], tmp_path: Path, seconds: int
) -> None:
    given = {"base": folders["gpt2"], "demonstrations": files["demonstrations"], "out": tmp_path,
             "set": ["max_steps=40", "epochs=0", f"checkpoint_seconds={seconds}"]}  # fmt: skip
    process = start("sft", **given)
    while process.poll() is None and not ((tmp_path / "metrics.jsonl").exists() and len(steps(tmp_path)) >= 5):
        time.sleep(0.005)
    process.send(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = len(lines(tmp_path / "metrics.jsonl"))
    assert start("sft", **given).wait() == 0
    rows = lines(tmp_path / "metrics.jsonl")
    assert seconds == 0 or len(rows) == before + 40, "no step came again, so the test shows nothing"
    assert steps(tmp_path) == list(range(1, 41))
    assert read(tmp_path)["loss"] == pytest.approx({row["step"]: row["loss"] for row in rows}, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(0, 2_000), told=st.integers(1, 12))
def test_what_was_cut_short_is_told_again_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, cut: int, told: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    first = Events(folder)
    for step in range(100, 100 + told):
        first.add(step, {"loss": float(step)})
    content = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(content[: min(cut, len(content))])
    again = Events(folder)
    for step in range(100, 115):
        again.add(step, {"loss": float(step)})
    assert steps(folder) == list(range(100, 115))
    assert read(folder)["loss"] == {step: float(step) for step in range(100, 115)}


def test_zeros_that_a_power_cut_left_are_no_events(tmp_path: Path) -> None:
    Events(tmp_path).add(7, {"loss": 1.0})
    with (tmp_path / NAME).open("ab") as file:
        file.write(bytes(512))
    events = Events(tmp_path)
    assert events.last == 7
    events.add(8, {"loss": 0.5})
    assert read(tmp_path)["loss"] == {7: 1.0, 8: 0.5}


def test_processes_beside_the_first_write_no_events(tmp_path: Path) -> None:
    Follower(tmp_path).log(1, 2, {"loss": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_the_metrics_of_a_run_are_what_they_were_without_the_file(tmp_path: Path) -> None:
    Run(tmp_path).log(3, 9, {"loss": 0.5})
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "step": 3, "total_steps": 9, "seconds": 0.0, "loss": 0.5,
    }  # fmt: skip
