"""A run's process: apart from the worker, watched through its files, stopped when a person or the worker asks."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from celery.worker import state as worker_state
from django.db import Error as DatabaseAway
from django.db import close_old_connections
from django.utils import timezone

from training import commands
from training.models import TrainingRun
from training.spare import Spare

log = logging.getLogger(__name__)
spare = Spare()

POLL_SECONDS = 0.1
HEARTBEAT_SECONDS = 2.0
PATIENCE_SECONDS = 15.0
LOCK_SECONDS = 20.0


class Ending(Enum):
    """Why nobody watches the process any more."""

    BY_ITSELF = "by itself"
    CANCELLED = "cancelled"
    WORKER_STOPS = "worker stops"
    CLAIM_LOST = "claim lost"


class FolderBusy(Exception):
    """Another process still writes to the run's folder."""


def supervise(run: TrainingRun) -> tuple[Ending, int]:
    """Run the process to its end; why it ended and with which exit code (negative: by that signal)."""
    run.folder.mkdir(parents=True, exist_ok=True)
    commands.write_inputs(run)
    with _alone_in(run.folder) as lock, (run.folder / "run.log").open("ab") as output:
        process = _start(run, output=output.fileno(), lock=lock)
        try:
            if another_follows(run):
                spare.warm_up(run.device)
            return _follow(run, process)
        finally:
            _end(process)
            spare.expire()


def another_follows(run: TrainingRun) -> bool:
    """Whether a warm interpreter will be of use: the run's round has stages left, and they are started directly."""
    return run.round is not None and run.round.after(run.stage) is not None and not commands.launcher(run.device)


def _start(run: TrainingRun, *, output: int, lock: int) -> subprocess.Popen[bytes]:
    if not commands.launcher(run.device):
        warm = spare.take(commands.arguments(run, supervisor=os.getpid()), device=run.device, output=output, lock=lock)
        if warm is not None:
            return warm
    return subprocess.Popen(
        commands.command(run, supervisor=os.getpid()),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=commands.environment(run.device),
        start_new_session=True,
        pass_fds=[lock],
    )


def last_lines(run: TrainingRun, *, count: int = 12) -> str:
    """The end of what the process printed."""
    path = run.folder / "run.log"
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8_192))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])


def _follow(run: TrainingRun, process: subprocess.Popen[bytes]) -> tuple[Ending, int]:
    curve, told = _Curve(run.output / "metrics.jsonl"), 0.0
    while True:
        try:
            code = process.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        else:
            _report(run, curve.latest())
            return Ending.BY_ITSELF, code
        if _worker_stops():
            return Ending.WORKER_STOPS, _stop(process)
        if time.monotonic() - told >= HEARTBEAT_SECONDS:
            told = time.monotonic()
            asked = _report(run, curve.latest())
            if asked is not None:
                return asked, _stop(process)


def _worker_stops() -> bool:
    """Seen where the task shares the worker's process (pools threads and solo); other pools have to wait or kill."""
    return any(
        asked is not None and asked is not False for asked in (worker_state.should_stop, worker_state.should_terminate)
    )


def _report(run: TrainingRun, latest: dict[str, Any]) -> Ending | None:
    """Write heartbeat and progress to the row; what the row asks of us. A database that is away is waited for."""
    progress: dict[str, Any] = {"heartbeat_at": timezone.now()}
    if latest:
        progress |= {"step": latest.get("step", 0), "total_steps": latest.get("total_steps", 0), "latest": latest}
    held = TrainingRun.objects.held(run)
    try:
        if held.update(**progress) == 0:
            return Ending.CLAIM_LOST
        return Ending.CANCELLED if held.filter(cancel_requested=True).exists() else None
    except DatabaseAway as error:
        log.warning("Run %s: the database does not answer (%s); trying again.", run.pk, error)
        close_old_connections()
        return None


def _stop(process: subprocess.Popen[bytes]) -> int:
    """SIGTERM, on which it saves a checkpoint and ends; SIGKILL where it has not after 15 seconds."""
    process.terminate()
    try:
        return process.wait(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        _end(process)
        return process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Whatever of its session is left; nothing where all is gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def _alone_in(folder: Path) -> Iterator[int]:
    """A lock on the folder that the process inherits: a trainer whose supervisor was killed keeps it to its end."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise FolderBusy(
                        f"Another process has been writing to {folder} for {LOCK_SECONDS:.0f} s."
                    ) from None
                time.sleep(POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


class _Curve:
    """The last whole line of metrics.jsonl; only what is new is read."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self._latest: dict[str, Any] = {}

    def latest(self) -> dict[str, Any]:
        if not self._path.is_file():
            return {}
        with self._path.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        whole, newline, _ = new.rpartition(b"\n")
        if newline:
            self._offset += len(whole) + 1
            self._latest = json.loads(whole.rpartition(b"\n")[2])
        return self._latest
