"""Stopping in time: on SIGTERM, on Ctrl-C, or when the process that started this one is gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType

from training.algorithms.errors import STOPPED

LOOK_EVERY = 0.5
# A supervisor counts on the process being gone ten seconds after it is asked; the last checkpoint is whole in any case.
PATIENCE = 9.0


class Supervision:
    """`should_stop` turns True once the run is asked to stop; a run that does not within nine seconds is ended."""

    def __init__(self, supervisor: int | None = None) -> None:
        self._asked = threading.Event()
        self._supervisor = supervisor
        self._born = _birth(supervisor) if supervisor else None
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._on_signal)
        threading.Thread(target=self._watch, daemon=True).start()

    def should_stop(self) -> bool:
        return self._asked.is_set()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked.set()

    def _watch(self) -> None:
        while not self._asked.wait(LOOK_EVERY):
            if self._supervisor and not _lives(self._supervisor, born=self._born):
                self._asked.set()
        time.sleep(PATIENCE)
        os._exit(STOPPED)


def _lives(process: int, *, born: str | None) -> bool:
    """Whether the process runs, and is the one that was born then: process ids are used again."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _birth(process) == born


def _birth(process: int) -> str | None:
    """When the process started, in the kernel's ticks; None where the kernel does not say or it is a zombie."""
    try:
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after_name[0] == "Z" else after_name[19]
