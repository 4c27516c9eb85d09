"""The warm interpreter: it becomes the stage it is told to be, and outlives nobody who could use it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.processes import wait_for
from tests.training.world import texts_file
from training import spare as module
from training.spare import Spare


@pytest.fixture
def spare() -> Iterator[Spare]:
    made = Spare()
    yield made
    made.drop()


def waiting() -> list[int]:
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child.pid for child in living if "training.warm" in child.cmdline()]


def test_where_none_waits_there_is_none_to_take(spare: Spare) -> None:
    assert spare.take(["sft"], output=1, lock=0) is None


def test_the_one_that_waits_runs_the_stage_and_holds_the_lock(spare: Spare, tmp_path: Path) -> None:
    spare.warm_up()
    spare.warm_up()
    assert len(waiting()) == 1
    arguments = ["pretrain", "--texts", str(texts_file()), "--out", str(tmp_path / "run"), "--preset", "test"]
    with (tmp_path / "log").open("wb") as output, (tmp_path / "lock").open("w") as lock:
        process = spare.take(arguments, output=output.fileno(), lock=lock.fileno())
        assert process is not None
        opened = psutil.Process(process.pid).open_files
        wait_for(lambda: str(tmp_path / "lock") in {file.path for file in opened()})
    assert process.wait(120) == 0
    assert (tmp_path / "run" / "result.json").exists()
    assert '"loss"' in (tmp_path / "log").read_text()
    assert spare.take(arguments, output=1, lock=0) is None


def test_the_exit_code_is_the_stages(spare: Spare, tmp_path: Path) -> None:
    spare.warm_up()
    with (tmp_path / "log").open("wb") as output:
        arguments = ["pretrain", "--texts", "/nowhere", "--out", str(tmp_path / "run"), "--preset", "test"]
        process = spare.take(arguments, output=output.fileno(), lock=output.fileno())
    assert process is not None
    assert process.wait(120) == 2


def test_one_that_died_is_not_taken(spare: Spare) -> None:
    spare.warm_up()
    process = psutil.Process(waiting()[0])
    process.kill()
    wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE)
    assert spare.take(["sft"], output=1, lock=0) is None


def test_one_that_nobody_takes_ends(spare: Spare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.2)
    spare.warm_up()
    spare.expire()
    wait_for(lambda: not waiting(), seconds=10)


def test_it_ends_with_the_worker_that_started_it() -> None:
    code = (
        "import time; import django; django.setup(); from training.spare import Spare; spare = Spare(); "
        "spare.warm_up(); print(spare._waiting[0].pid, flush=True); time.sleep(99)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    time.sleep(0.5)
    worker.kill()
    worker.wait()
    wait_for(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, seconds=60)
