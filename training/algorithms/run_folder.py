"""The folder of one run, which describes itself: settings, metrics, result or error, checkpoints, model."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, ClassVar

from training.algorithms.errors import InputError, Stopped
from training.algorithms.event_files import Events

Metrics = dict[str, float]
LOCK_PATIENCE = 15  # seconds; a run that is asked to stop takes ten at most


def never() -> bool:
    return False


@dataclass
class Run:
    """One run of one stage: where its files are, whether it should stop, and where its time went."""

    path: Path
    asked: Callable[[], bool] = never
    processes: int = 1
    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)
    _held: IO[str] | None = None
    _began: dict[str, float] = field(default_factory=dict)
    writes: ClassVar[bool] = True

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def is_done(self) -> bool:
        return (self.path / "result.json").exists()

    def open(self, *, stage: str, inputs: Mapping[str, str], hyperparameters: Mapping[str, Any]) -> None:
        """Make the folder, or check that what it holds was begun with the same settings and the same data.

        Raises InputError where it was not: a run that goes on with other settings would be neither of the two.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock()
        wanted = {"inputs.json": {"stage": stage, **inputs}, "hyperparameters.json": dict(hyperparameters)}
        for name, values in wanted.items():
            found = read_json(self.path / name)
            if found is not None and found != values:
                different = sorted(key for key in {*found, *values} if found.get(key) != values.get(key))
                raise InputError(
                    f"{self.path} holds a run with another {', '.join(different)}. "
                    "Give the values it was begun with to go on, or another --out to begin anew."
                )
        for name, values in wanted.items():
            write_json(self.path / name, values)
        (self.path / "error.json").unlink(missing_ok=True)

    def _lock(self) -> None:
        """Hold the folder until this process ends or `close`s it; a process that is just stopping may still have it."""
        self._held = (self.path / ".trainer.lock").open("w")
        for _ in range(1 + LOCK_PATIENCE * 10):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.1)
        raise InputError(f"Another process is at work on {self.path}. Wait until it is done, or end it.")

    def close(self) -> None:
        """Let go of the folder."""
        if self._held is not None:
            self._held.close()

    def log(self, step: int, total_steps: int, metrics: Metrics) -> None:
        """Append one line of metrics. After a kill a step may appear twice; both lines say the same of the training."""
        line = {"step": step, "total_steps": total_steps, "seconds": round(self.seconds.get("training", 0.0), 3)}
        figures = {name: _number(value) for name, value in metrics.items()}
        self.append("metrics.jsonl", line | figures)
        if self.writes:
            self._events.add(step, {name: value for name, value in figures.items() if value is not None})

    @cached_property
    def _events(self) -> Events:
        return Events(self.path)

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        """Add a line, whole or not at all: half a line on a full disk would spoil the one that comes after it."""
        left = (json.dumps(line, ensure_ascii=False) + "\n").encode()
        with (self.path / name).open("ab", buffering=0) as file:
            before = file.tell()
            try:
                while left:
                    left = left[file.write(left) :]
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(before)
                raise

    def begin(self, part: str) -> None:
        """Start the clock of one part of the run; what came before the first is start-up."""
        self.seconds.setdefault("startup", time.perf_counter() - self.started)
        self._began[part] = time.perf_counter()

    def elapsed(self, part: str) -> float:
        return max(time.perf_counter() - self._began[part], 1e-9)

    def end(self, part: str) -> None:
        self.seconds[part] = self.elapsed(part)

    def should_stop(self) -> bool:
        """Whether to stop here and now. Several processes must do so together: the loop sees to it between steps."""
        return self.processes == 1 and self.asked()

    def stop_if_asked(self) -> None:
        if self.should_stop():
            raise Stopped

    def finish(self, figures: Mapping[str, Any]) -> None:
        """Write result.json, the last file of a run: where it exists, everything else is whole."""
        seconds = {part: round(value, 3) for part, value in self.seconds.items()}
        seconds["total"] = round(time.perf_counter() - self.started, 3)
        written = {name: _number(value) if isinstance(value, float) else value for name, value in figures.items()}
        write_json(self.path / "result.json", {**written, "seconds": seconds})
        (self.path / "error.json").unlink(missing_ok=True)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def fail(self, error: BaseException) -> None:
        """Write error.json; a disk too full for it is reported on stderr alone.

        Of several processes the first to fail is heard: the others fail because it is gone.
        """
        if self.processes > 1 and (self.path / "error.json").exists():
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.path / "error.json", {"error": type(error).__name__, "message": str(error)})
        except OSError as full:
            with contextlib.suppress(OSError):
                print(f"error.json could not be written: {full}", flush=True)


class Follower(Run):
    """The run as the processes beside the first have it: they write nothing but why they failed."""

    writes: ClassVar[bool] = False

    def open(self, **described: object) -> None:
        pass

    def append(self, name: str, line: Mapping[str, Any]) -> None:
        pass

    def finish(self, figures: Mapping[str, Any]) -> None:
        pass


def _number(value: float) -> float | None:
    """What JSON can hold: a figure that is not a number, or not finite, is missing."""
    return round(float(value), 6) if math.isfinite(value) else None


def write_json(path: Path, values: Any) -> None:
    """Whole or not at all: written beside its place, then renamed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file, or None where there is none."""
    if not path.exists():
        return None
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def describe_inputs(paths: Mapping[str, str | None]) -> dict[str, str]:
    """What a run was given: for a file its sha256, for a model folder or hub name the name."""
    described = {}
    for name, path in paths.items():
        if path is None:
            continue
        file = Path(path)
        described[name] = f"sha256:{_sha256(file)}" if file.is_file() else path
    return described


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
