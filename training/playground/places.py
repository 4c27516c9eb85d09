"""What web and workers know a served model by: files in the data folder, and locks that end with whoever holds them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from training.models import Policy, RewardModel

STREAM, STARTING = "stream-", "starting.lock"


class Busy(Exception):
    """As many answers are being given as there may be at once."""


@dataclass(frozen=True)
class Place:
    """Of one model folder or hub name, whichever projects' models it is."""

    folder: Path
    name: str

    @property
    def socket(self) -> Path:
        return self.folder / f"{self.name}.sock"

    @property
    def lock(self) -> Path:
        """Held by the model's process for as long as it lives."""
        return self.folder / f"{self.name}.lock"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def problem_file(self) -> Path:
        return self.folder / f"{self.name}.problem.json"

    def fail(self, kind: str, **details: Any) -> None:
        """Leave word for those who wait why it does not start."""
        draft = self.problem_file.with_suffix(".part")
        draft.write_text(json.dumps({"kind": kind, **details}))
        draft.replace(self.problem_file)

    def problem(self) -> tuple[int, dict[str, Any]] | None:
        """When word was left last, and the word."""
        with suppress(FileNotFoundError):
            return self.problem_file.stat().st_mtime_ns, json.loads(self.problem_file.read_text())
        return None

    def asked_at(self) -> float:
        """When it was last asked; infinitely late while it starts."""
        try:
            return self.socket.stat().st_mtime
        except FileNotFoundError:
            return float("inf")

    def is_alive(self) -> bool:
        with held_or_not(self.lock) as lock:
            return lock is None


def place_of(model: Policy | RewardModel) -> Place:
    kind = "policy" if isinstance(model, Policy) else "reward-model"
    return Place(folder(), f"{kind}-{hashlib.sha256(model.location.encode()).hexdigest()[:20]}")


def alive() -> list[Place]:
    """The models that are served now, or are about to be."""
    known = [
        Place(folder(), path.stem) for path in folder().glob("*.lock") if path.stem.startswith(("policy", "reward"))
    ]
    return [place for place in known if place.is_alive()]


def folder() -> Path:
    path = Path(settings.DATA) / "run" / "playground"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


@contextmanager
def held_or_not(path: Path) -> Iterator[int | None]:
    """The lock, held within the block (and by processes that inherit it, for longer); None where another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Of those who start models, on this machine."""
    with (folder() / STARTING).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def one_of(count: int) -> Iterator[None]:
    """One of so many answers at once, over all processes of the web; raises Busy where all are taken."""
    for number in range(count):
        with held_or_not(folder() / f"{STREAM}{number}.lock") as lock:
            if lock is not None:
                yield
                return
    raise Busy
