"""The life of a run: states in the database, and real trainer processes on a tiny model."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from tests.processes import supervisor, trainers, wait_for, worker
from tests.training.world import Lab, build_lab
from training import commands, runs
from training import supervisor as supervisor_of_runs
from training.datasets import freeze
from training.hyperparameters import InputError
from training.models import Policy, RunState, Stage, TrainingRun

HOUR = timedelta(hours=1)
LONG = {"epochs": 0, "max_steps": 100_000}


def make_run(lab: Lab, **values: Any) -> TrainingRun:
    dataset = freeze(lab.project, user=lab.rosa)
    return runs.create(
        lab.project, stage=Stage.SFT, user=lab.rosa, dataset=dataset, base=lab.base, preset="test", values=values
    )


def state(run: TrainingRun) -> str:
    run.refresh_from_db()
    return run.state


def claim(run: TrainingRun) -> TrainingRun:
    claimed = TrainingRun.objects.claim(run.pk, worker="me")
    assert claimed is not None
    return claimed


class TestStates:
    def test_a_run_is_claimed_once(self, lab: Lab) -> None:
        run = make_run(lab)
        assert TrainingRun.objects.claim(run.pk, worker="one") is not None
        assert TrainingRun.objects.claim(run.pk, worker="two") is None

    def test_a_cancelled_run_is_not_claimed(self, lab: Lab) -> None:
        run = make_run(lab)
        runs.cancel(run)
        assert state(run) == RunState.CANCELLED
        assert TrainingRun.objects.claim(run.pk, worker="late") is None

    def test_a_worker_that_lost_its_claim_changes_nothing(self, lab: Lab) -> None:
        run = make_run(lab)
        first = claim(run)
        TrainingRun.objects.filter(pk=run.pk).update(state=RunState.QUEUED)
        assert TrainingRun.objects.claim(run.pk, worker="another") is not None
        runs.fail(first, "mine")
        runs.finish(first, {})
        assert state(run) == RunState.RUNNING
        assert run.error == ""
        assert not Policy.objects.filter(run=run).exists()

    def test_what_has_ended_is_not_cancelled_and_what_runs_is_not_tried_again(self, lab: Lab) -> None:
        run = make_run(lab)
        with pytest.raises(runs.RunRefused):
            runs.retry(run)
        runs.fail(claim(run), "no luck")
        with pytest.raises(runs.RunRefused):
            runs.cancel(run)

    def test_a_failed_run_is_tried_again_from_a_clean_row(self, lab: Lab) -> None:
        run = make_run(lab)
        runs.fail(claim(run), "no luck")
        runs.retry(run)
        assert (state(run), run.error, run.attempts, run.finished_at) == (RunState.QUEUED, "", 0, None)

    def test_settings_that_the_stage_does_not_know_make_no_run(self, lab: Lab) -> None:
        with pytest.raises(InputError, match="learning_rat "):
            make_run(lab, learning_rat=1)
        assert not TrainingRun.objects.exists()


class TestDisturbances:
    def test_a_connection_that_is_cut_as_a_run_ends_fails_no_run(
        self, transactional_db: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The row goes on saying that it runs, and nobody does: the sweep has it done once more, from where it was."""
        run = make_run(build_lab())
        run.folder.mkdir(parents=True)
        (run.folder / "result.json").write_text("{}")

        def cut_off(run: TrainingRun) -> None:
            with connection.cursor() as cursor:
                cursor.execute("select pg_terminate_backend(pg_backend_pid())")

        monkeypatch.setattr(runs, "_enter_products", cut_off)
        with pytest.raises(DatabaseError):
            runs.execute(run.pk)
        assert (state(run), run.error) == (RunState.RUNNING, "")
        TrainingRun.objects.update(heartbeat_at=timezone.now() - HOUR)
        runs.sweep()
        assert (state(run), run.attempts) == (RunState.QUEUED, 1)

    def test_a_folder_that_a_dying_trainer_still_holds_is_tried_again_and_not_for_ever(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(supervisor_of_runs, "LOCK_SECONDS", 0.2)
        run = make_run(lab)
        run.folder.mkdir(parents=True)
        with (run.folder / ".lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for attempts in (1, 2):
                runs.execute(run.pk)
                assert (state(run), run.attempts) == (RunState.QUEUED, attempts)
            runs.execute(run.pk)
        assert state(run) == RunState.FAILED
        assert "Another process has been writing" in run.error

    def test_a_run_that_could_not_even_write_why_it_failed_says_so(self, lab: Lab) -> None:
        run = claim(make_run(lab))
        runs._conclude(run, supervisor_of_runs.Ending.BY_ITSELF, runs.INPUT_ERROR)
        assert state(run) == RunState.FAILED
        assert "the disk is probably full" in run.error

    def test_a_run_whose_log_ends_in_what_the_database_cannot_keep_fails_all_the_same(self, lab: Lab) -> None:
        run = claim(make_run(lab))
        run.folder.mkdir(parents=True)
        (run.folder / "run.log").write_bytes(b"Cut off by a power cut\n\0\0\0")
        runs._conclude(run, supervisor_of_runs.Ending.BY_ITSELF, 1)
        assert (state(run), "Cut off by a power cut\n\ufffd" in run.error) == (RunState.FAILED, True)

    @pytest.mark.parametrize(
        ("ending", "code"),
        [
            (supervisor_of_runs.Ending.WORKER_STOPS, 75),
            (supervisor_of_runs.Ending.BY_ITSELF, 75),
            (supervisor_of_runs.Ending.BY_ITSELF, -signal.SIGKILL),
        ],
    )
    def test_a_run_whose_cancel_nobody_heard_before_its_process_ended_waits_for_no_worker(
        self, lab: Lab, ending: supervisor_of_runs.Ending, code: int
    ) -> None:
        run = claim(make_run(lab))
        runs.cancel(run)
        runs._conclude(run, ending, code)
        assert state(run) == RunState.CANCELLED
        runs.retry(run)
        assert claim(run).pk == run.pk


class TestSweep:
    def test_a_run_that_nobody_took_is_announced_again_but_not_at_every_look(
        self, lab: Lab, django_capture_on_commit_callbacks: Callable[..., Any]
    ) -> None:
        run = make_run(lab)
        runs.sweep()
        assert self.messages(django_capture_on_commit_callbacks) == 0
        TrainingRun.objects.filter(pk=run.pk).update(announced_at=timezone.now() - timedelta(seconds=20))
        assert self.messages(django_capture_on_commit_callbacks) == 1
        assert self.messages(django_capture_on_commit_callbacks) == 0

    def messages(self, capture: Callable[..., Any]) -> int:
        with capture() as callbacks:
            runs.sweep()
        return len(callbacks)

    def test_a_silent_worker_loses_the_run_three_times_and_then_it_fails(self, lab: Lab) -> None:
        run = make_run(lab)
        for attempt in (1, 2):
            claim(run)
            self.silence(run)
            runs.sweep()
            assert (state(run), run.attempts) == (RunState.QUEUED, attempt)
        claim(run)
        self.silence(run)
        runs.sweep()
        assert state(run) == RunState.FAILED
        assert "me" in run.error
        assert "start 3" in run.error

    def test_a_worker_that_beats_keeps_the_run(self, lab: Lab) -> None:
        run = make_run(lab)
        claim(run)
        runs.sweep()
        assert state(run) == RunState.RUNNING

    def test_a_silent_run_that_was_to_be_cancelled_is_cancelled(self, lab: Lab) -> None:
        run = make_run(lab)
        claim(run)
        runs.cancel(run)
        self.silence(run)
        runs.sweep()
        assert state(run) == RunState.CANCELLED

    def silence(self, run: TrainingRun) -> None:
        TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=31))


class TestEnvironment:
    def test_a_trainer_sees_no_secret_of_ours(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("SECRET_KEY", "DATABASE_URL", "CELERY_BROKER_URL", "PLUMBLINE_DATA", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "secret")
        monkeypatch.setenv("HF_TOKEN", "for the hub")
        passed = commands.environment()
        assert "secret" not in passed.values()
        assert passed["HF_TOKEN"] == "for the hub"
        assert passed["PYTHONPATH"] == str(settings.BASE_DIR)

    def test_accelerate_is_used_where_there_are_several_devices(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = make_run(lab)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        assert "accelerate.commands.launch" not in commands.command(run, supervisor=1)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        assert commands.command(run, supervisor=1)[2:6] == ["accelerate.commands.launch", "--num_processes", "2", "-m"]


# On a machine without GPUs too, where a stage's processes meet over gloo.
TWO_PROCESSES = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0", "-m"]


@pytest.mark.django_db(transaction=True)
class TestProcesses:
    def test_a_run_that_two_processes_share_ends_as_a_policy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(commands, "launcher", lambda device: TWO_PROCESSES)
        run = make_run(build_lab())
        runs.execute(run.pk)
        assert (state(run), run.error) == (RunState.SUCCEEDED, "")
        assert Policy.objects.filter(run=run).exists()

    def test_a_run_ends_as_a_policy_with_figures_and_lineage(self) -> None:
        lab = build_lab()
        run = make_run(lab)
        runs.execute(run.pk)
        assert (state(run), run.error) == (RunState.SUCCEEDED, "")
        assert run.step == run.total_steps > 0
        assert run.result["loss"] > 0
        policy = Policy.objects.get(run=run)
        assert policy.parent == lab.base
        assert policy.texts == lab.base.texts
        assert policy.folder == run.folder / "model"
        lineage = json.loads((policy.folder / "lineage.json").read_text())
        assert run.dataset is not None
        assert lineage["dataset_sha256"] == run.dataset.sha256
        assert lineage["base"] == "base"
        assert "## Lineage" in (policy.folder / "README.md").read_text()

    def test_cancel_stops_a_running_trainer(self) -> None:
        run = make_run(build_lab(), **LONG)
        with supervisor(run.pk) as process:
            wait_for(lambda: state(run) == RunState.RUNNING and run.step > 0)
            runs.cancel(run)
            began = time.monotonic()
            wait_for(lambda: state(run) == RunState.CANCELLED, seconds=20)
            assert time.monotonic() - began < 18
            assert process.wait(10) == 0
        assert trainers(run) == []

    def test_a_trainer_killed_outright_starts_again_and_goes_on(self) -> None:
        run = make_run(build_lab(), **LONG)
        with supervisor(run.pk) as process:
            (pid,) = wait_for(lambda: run.step > 5 and trainers(run) if state(run) == RunState.RUNNING else [])
            os.kill(pid, signal.SIGKILL)
            process.wait(20)
        assert (state(run), run.attempts) == (RunState.QUEUED, 1)
        reached = run.step
        with supervisor(run.pk):
            wait_for(lambda: state(run) == RunState.RUNNING and run.step > reached)
            runs.cancel(run)
            wait_for(lambda: state(run) == RunState.CANCELLED, seconds=20)
        logged = [json.loads(line)["step"] for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        assert logged.count(1) == 1

    def test_a_supervisor_killed_outright_takes_its_trainer_along_and_the_sweep_takes_over(self) -> None:
        run = make_run(build_lab(), **LONG)
        with supervisor(run.pk) as process:
            (pid,) = wait_for(lambda: run.step > 0 and trainers(run) if state(run) == RunState.RUNNING else [])
            process.kill()
            began = time.monotonic()
            wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", seconds=12)
            assert time.monotonic() - began < 11
        assert state(run) == RunState.RUNNING
        TrainingRun.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=31))
        runs.sweep()
        assert (state(run), run.attempts) == (RunState.QUEUED, 1)

    def test_a_worker_that_is_told_to_stop_leaves_a_checkpoint_and_the_next_one_goes_on(self) -> None:
        run = make_run(build_lab(), **LONG)
        with worker() as process:
            wait_for(lambda: state(run) == RunState.RUNNING and run.step > 5)
            process.terminate()
            process.wait(25)
        assert (state(run), run.attempts) == (RunState.QUEUED, 0)
        assert trainers(run) == []
        reached = run.step
        with worker():
            wait_for(lambda: state(run) == RunState.RUNNING and run.step > reached)
            runs.cancel(run)
            wait_for(lambda: state(run) == RunState.CANCELLED, seconds=20)

    def test_a_lost_message_is_sent_again_by_the_sweep(self) -> None:
        run = make_run(build_lab())
        with current_app.connection_for_write() as connection:
            assert connection.default_channel.queue_purge("training") > 0
        with worker() as process:
            wait_for(lambda: current_app.control.ping(timeout=1.0) or process.poll() is not None)
            time.sleep(1)
            assert state(run) == RunState.QUEUED
            TrainingRun.objects.filter(pk=run.pk).update(announced_at=timezone.now() - timedelta(seconds=20))
            current_app.send_task("training.tasks.sweep")
            wait_for(lambda: state(run) == RunState.SUCCEEDED)

    def test_two_supervisors_never_train_one_run_at_once(self) -> None:
        """The second takes over while the first one's trainer still lives: it waits for the folder."""
        run = make_run(build_lab(), **LONG)
        with supervisor(run.pk):
            wait_for(lambda: state(run) == RunState.RUNNING and run.step > 0)
            TrainingRun.objects.filter(pk=run.pk).update(state=RunState.QUEUED, worker="")
            most = []
            with supervisor(run.pk):
                for _ in range(80):
                    most.append(len(trainers(run)))
                    time.sleep(0.1)
                assert max(most) == 1
                wait_for(lambda: state(run) == RunState.RUNNING and trainers(run))
                runs.cancel(run)
                wait_for(lambda: state(run) == RunState.CANCELLED, seconds=20)

    def test_a_doubled_message_carries_the_run_out_once(self) -> None:
        run = make_run(build_lab())
        threads = [threading.Thread(target=runs.execute, args=(run.pk,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert state(run) == RunState.SUCCEEDED
        assert Policy.objects.filter(run=run).count() == 1
        assert (run.folder / "run.log").read_text().count('"loss"') == 1


@pytest.mark.django_db(transaction=True)
class TestFailures:
    """Each fails the run with its reason on the row."""

    def failed(self, run: TrainingRun) -> str:
        runs.execute(run.pk)
        assert state(run) == RunState.FAILED
        assert run.finished_at is not None
        return run.error

    def test_a_model_folder_that_is_gone(self) -> None:
        lab = build_lab()
        Policy.objects.filter(pk=lab.base.pk).update(path="/nowhere/model")
        assert "/nowhere/model" in self.failed(make_run(lab))

    def test_two_processes_say_no_more_than_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(commands, "launcher", lambda device: TWO_PROCESSES)
        error = self.failed(make_run(build_lab(), learning_rate=1e30, max_grad_norm=0))
        assert error.endswith("training diverged. Lower learning_rate.")

    def test_a_model_folder_with_broken_weights(self, tmp_path: Path) -> None:
        lab = build_lab()
        for file in lab.base.folder.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
        Policy.objects.filter(pk=lab.base.pk).update(path=str(tmp_path))
        assert str(tmp_path) in self.failed(make_run(lab))

    def test_a_foreign_folder(self, tmp_path: Path) -> None:
        lab = build_lab()
        (tmp_path / "holiday.jpg").write_bytes(b"")
        Policy.objects.filter(pk=lab.base.pk).update(path=str(tmp_path))
        assert str(tmp_path) in self.failed(make_run(lab))

    def test_a_name_that_no_hub_knows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        lab = build_lab()
        Policy.objects.filter(pk=lab.base.pk).update(path="", source="nobody/nothing")
        assert "nobody/nothing" in self.failed(make_run(lab))

    def test_a_dataset_that_was_changed(self) -> None:
        run = make_run(build_lab())
        assert run.dataset is not None
        path = run.dataset.folder / "demonstrations.jsonl"
        path.chmod(0o644)
        path.write_text("")
        assert "demonstrations.jsonl has changed" in self.failed(run)

    def test_a_disk_that_fills_while_the_trainer_writes(self) -> None:
        run = make_run(build_lab())
        run.folder.mkdir(parents=True)
        (run.folder / "metrics.jsonl").symlink_to("/dev/full")
        assert "No space left on device" in self.failed(run)

    def test_a_disk_that_is_full_before_it_begins(self) -> None:
        run = make_run(build_lab())
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        run.folder.mkdir()
        (run.folder / commands.INPUTS).mkdir()
        (run.folder / commands.INPUTS / "hyperparameters.json").symlink_to("/dev/full")
        assert "No space left on device" in self.failed(run)

    def test_a_crash_shows_the_last_lines(self) -> None:
        run = make_run(build_lab())
        run.folder.mkdir(parents=True)
        (run.folder / "inputs.json").mkdir()
        error = self.failed(run)
        assert "ended with code 1" in error
        assert "IsADirectoryError" in error


def test_nothing_of_a_run_is_left_running() -> None:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in listed.splitlines() if str(settings.DATA / "runs") in line]
