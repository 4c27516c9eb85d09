"""Locks between processes, on files. The kernel drops them with the process that held them, so none is ever stale."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


class SharedLock:
    """A lock that many hold together."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def last(self) -> bool:
        """Whether nobody else holds the lock now. Gives the shared hold up: call it on the way out."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def held(path: Path) -> Iterator[None]:
    """The lock at `path`, alone, waiting for whoever has it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def held_or_refused(path: Path) -> Iterator[TextIO]:
    """The lock at `path`, alone; BlockingIOError if another process has it. The file is the holder's to write in."""
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file


@contextmanager
def shared(path: Path) -> Iterator[SharedLock]:
    """The lock at `path`, together with others, waiting for whoever has it alone."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield SharedLock(file)
