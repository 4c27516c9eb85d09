"""The processes of one installation on one machine: start them, restart what dies, end every one of them.

Each carries the data folder's name in its environment, and so do the processes that it starts in turn. By that mark all
are found again, by this process or by the next one after a crash, without trusting a number that was written down.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARK = "PLUMBLINE_STARTED_FOR"
LAUNCH = Path(__file__).with_name("launch.py")
PATIENCE = 12.0  # a trainer writes its checkpoint within 10 seconds
LONGEST_PAUSE = 30.0
STEADY_AFTER = 20.0
LARGEST_LOG = 10_000_000


@dataclass(frozen=True)
class Program:
    """What to run. `orphaned` is the signal that it gets when this process vanishes; `files` are those it inherits."""

    name: str
    command: Sequence[str]
    orphaned: signal.Signals = signal.SIGTERM
    files: tuple[int, ...] = ()


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    since: float
    pause: float = 1.0


@dataclass
class Processes:
    """The programs that this process keeps alive. `say` takes the lines that a person should see."""

    data: Path
    say: Callable[[str], None]
    environment: Mapping[str, str] = field(default_factory=dict)
    _running: dict[Program, _Running] = field(default_factory=dict)
    _due: dict[Program, float] = field(default_factory=dict)

    def start(self, program: Program) -> None:
        self._running[program] = _Running(self._spawn(program), time.monotonic())

    def run_to_end(self, name: str, command: Sequence[str]) -> int:
        """Run a program that writes to our own terminal; return its exit status."""
        return self._popen(Program(name, command), log=None).wait()

    def mend(self) -> None:
        """Start again what has died, after a pause that doubles while it keeps dying. Call it every second or so."""
        now = time.monotonic()
        for program, running in self._running.items():
            status = running.process.poll()
            if status is None:
                if now - running.since > STEADY_AFTER:
                    running.pause = 1.0
            elif program not in self._due:
                self._due[program] = now + running.pause
                self.say(
                    f"{program.name} ended ({_ending(status)}); starting it again in {running.pause:.0f} s. "
                    f"Its log: {self.log(program.name)}"
                )
            elif now >= self._due[program]:
                del self._due[program]
                running.process, running.since = self._spawn(program), now
                running.pause = min(2 * running.pause, LONGEST_PAUSE)

    def stop(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """End all programs and whatever they started, politely first; at once when `hurry()` says so."""
        for running in self._running.values():
            if running.process.poll() is None:
                running.process.terminate()
        end_marked(self.data, hurry=hurry)
        for running in self._running.values():
            running.process.wait()
        self._running.clear()

    def rotate_logs(self) -> None:
        """Move a log that has grown large aside; its writer goes on in the emptied file, which it appends to."""
        for log in self.log("any").parent.glob("*.log"):
            if log.stat().st_size > LARGEST_LOG:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)

    def log(self, name: str) -> Path:
        return self.data / "run" / "logs" / f"{name}.log"

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        log = self.log(program.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        return self._popen(program, log=log)

    def _popen(self, program: Program, *, log: Path | None) -> subprocess.Popen[bytes]:
        launch = [sys.executable, "-I", str(LAUNCH), "--die-with", str(os.getpid())]
        command = [*launch, "--signal", str(int(program.orphaned)), *program.command]
        environment = {**os.environ, **self.environment, MARK: str(self.data)}
        with open(log or os.devnull, "ab") as out:
            # A process group of its own: Ctrl-C in a terminal reaches us alone, and we stop all in order.
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out if log else None,
                stderr=subprocess.STDOUT if log else None,
                pass_fds=program.files,
                process_group=0,
            )


def end_marked(data: Path, *, hurry: Callable[[], bool] = lambda: False) -> None:
    """End every process that was started for `data`: SIGTERM, 12 seconds to finish, SIGKILL. Ours is not among them."""
    deadline = time.monotonic() + PATIENCE
    asked: set[psutil.Process] = set()
    while marked := _marked(data):
        late = hurry() or time.monotonic() > deadline
        for process in marked:
            with suppress(psutil.NoSuchProcess):
                if late:
                    process.kill()
                elif process not in asked:
                    process.terminate()
        asked.update(marked)
        psutil.wait_procs(marked, timeout=0.2)


def _marked(data: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _is_marked(process, data)]


def _is_marked(process: psutil.Process, data: Path) -> bool:
    try:
        return process.environ().get(MARK) == str(data) and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False  # gone meanwhile, or another user's


def _ending(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
