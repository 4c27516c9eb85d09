"""One run at a time on each device of a machine, whichever worker has it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from tests.processes import trainers, wait_for, worker
from tests.training.test_runs import LONG, make_run, state
from tests.training.world import Lab, build_lab
from training import commands, devices, runs
from training.models import RunState, TrainingRun


class TestNames:
    def test_the_machine_is_one_device_where_nothing_is_set(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.TRAINING_MACHINE = "node1"
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        assert devices.here() == ["node1:all"]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3")
        assert devices.here() == ["node1:2+3"]
        settings.TRAINING_DEVICES = ["0", "1"]
        assert devices.here() == ["node1:0", "node1:1"]

    @pytest.mark.parametrize(
        ("device", "visible", "count"),
        [("node1:0", "0", 1), ("node1:0+1", "0,1", 2), ("node1:cpu", "", 0), ("node1:cpu7", "", 0)],
    )
    def test_a_process_sees_its_own_device_alone(
        self, device: str, visible: str, count: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
        assert commands.environment(device)["CUDA_VISIBLE_DEVICES"] == visible
        assert devices.accelerators(device) == count
        assert bool(commands.launcher(device)) == (count > 1)
        code = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
        told = subprocess.run([sys.executable, "-c", code], env=commands.environment(device), capture_output=True)
        assert told.stdout.decode().strip() == visible

    def test_on_the_whole_machine_it_sees_what_the_worker_sees(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
        assert commands.environment("node1:all")["CUDA_VISIBLE_DEVICES"] == "0,1,2"
        assert devices.accelerators("node1:all") == devices.accelerators() == 3


class TestClaims:
    @pytest.fixture
    def three(self, lab: Lab) -> list[TrainingRun]:
        return [make_run(lab) for _each in range(3)]

    def claim(self, run: TrainingRun, *names: str) -> str | None:
        claimed = TrainingRun.objects.claim(run.pk, worker=f"worker {run.pk}", devices=names)
        return claimed.device if claimed else None

    def test_a_run_takes_the_first_device_that_is_free(self, three: list[TrainingRun]) -> None:
        one, two, three_ = three
        assert self.claim(one, "m:0", "m:1") == "m:0"
        assert self.claim(two, "m:0", "m:1") == "m:1"
        assert self.claim(three_, "m:0", "m:1") is None
        assert state(three_) == RunState.QUEUED
        assert self.claim(three_, "another:0") == "another:0"

    @pytest.mark.parametrize("how", ["failed", "cancelled", "abandoned"])
    def test_a_run_that_has_ended_gives_its_device_free(self, three: list[TrainingRun], how: str) -> None:
        first = TrainingRun.objects.claim(three[0].pk, worker="me", devices=["m:0"])
        assert first is not None
        match how:
            case "failed":
                runs.fail(first, "no luck")
            case "cancelled":
                runs._end_cancelled(first)
            case "abandoned":
                runs._died(first, "silence")
        assert self.claim(three[1], "m:0") == "m:0"

    def test_the_database_itself_lets_no_two_run_on_one_device(self, three: list[TrainingRun]) -> None:
        self.claim(three[0], "m:0")
        with pytest.raises(IntegrityError), transaction.atomic():
            TrainingRun.objects.filter(pk=three[1].pk).update(state=RunState.RUNNING, device="m:0")


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
class TestTwoWorkers:
    def test_with_one_device_train_one_after_the_other(self) -> None:
        lab = build_lab()
        first, second = make_run(lab, **LONG), make_run(lab, **LONG)
        shared = {"queues": "training", "threads": 1, "TRAINING_MACHINE": "one", "TRAINING_DEVICES": "cpu"}
        with worker(**shared), worker(**shared):
            wait_for(lambda: first.step > 5 if state(first) == RunState.RUNNING else False)
            assert (state(second), first.device, trainers(second)) == (RunState.QUEUED, "one:cpu", [])
            runs.cancel(first)
            wait_for(lambda: state(second) == RunState.RUNNING)  # no sweep is at work
            assert state(first) == RunState.CANCELLED
            runs.cancel(second)
            wait_for(lambda: state(second) == RunState.CANCELLED)

    def test_with_two_devices_train_side_by_side(self) -> None:
        lab = build_lab()
        first, second = make_run(lab, **LONG), make_run(lab, **LONG)
        shared = {"queues": "training", "threads": 1, "TRAINING_MACHINE": "one", "TRAINING_DEVICES": "cpu0,cpu1"}
        with worker(**shared), worker(**shared):
            wait_for(lambda: runs.sweep() or {state(first), state(second)} == {RunState.RUNNING})
            wait_for(lambda: state(first) and state(second) and first.step and second.step)
            assert {first.device, second.device} == {"one:cpu0", "one:cpu1"}
            for run in (first, second):
                runs.cancel(run)
            wait_for(lambda: {state(first), state(second)} == {RunState.CANCELLED})
