"""What is done to an installation: one function a fault, each at a moment that the campaign chooses."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from config.embedded import postgres
from tests.faults.installation import Installation

FULL_SECONDS = 1.5
STOPPED_SECONDS = 1.5
TRAINER_SECONDS = 30.0

Fault = Callable[[Installation, random.Random], str]


def kill_web_worker(there: Installation, chance: random.Random) -> str:
    return _kill_one_of(there.web_workers(), chance)


def kill_web_master(there: Installation, chance: random.Random) -> str:
    return _kill(there.program("web"))


def kill_worker(there: Installation, chance: random.Random) -> str:
    return _kill(there.program("worker-default"))


def kill_training_worker(there: Installation, chance: random.Random) -> str:
    return _kill(there.program("worker-training"))


def kill_trainer(there: Installation, chance: random.Random) -> str:
    """At any moment of its life, once there is one."""
    deadline = time.monotonic() + TRAINER_SECONDS
    while not there.trainers() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(chance.uniform(0, 5))
    return _kill_one_of(there.trainers(), chance)


def kill_beat(there: Installation, chance: random.Random) -> str:
    return _kill(there.program("beat"))


def kill_postgres(there: Installation, chance: random.Random) -> str:
    server = postgres.server_pid(there.data)
    return _kill(psutil.Process(server) if server else None)


def kill_backend(there: Installation, chance: random.Random) -> str:
    """One connection's process: PostgreSQL then ends all others and recovers."""
    return _kill_one_of(there.backends(), chance)


def drop_messages(there: Installation, chance: random.Random) -> str:
    return f"{there.broker.drop()} messages"


def stop_broker(there: Installation, chance: random.Random) -> str:
    there.broker.go_away(STOPPED_SECONDS)
    return f"for {STOPPED_SECONDS} s"


def fill_disk(there: Installation, chance: random.Random) -> str:
    """Nothing more fits on the data folder's file system for a while."""
    ballast = there.data / "ballast"
    taken = 0
    try:
        with ballast.open("wb") as file:
            until = time.monotonic() + FULL_SECONDS
            while time.monotonic() < until:
                free = os.statvfs(there.data).f_bfree * os.statvfs(there.data).f_frsize
                if free:
                    with suppress(OSError):  # somebody else was first
                        os.posix_fallocate(file.fileno(), taken, free)
                        taken += free
                time.sleep(0.02)
    finally:
        ballast.unlink()
    return f"for {FULL_SECONDS} s"


def kill_everything(there: Installation, chance: random.Random) -> str:
    """`up` itself, and with it all that it started; a person starts it again."""
    there.up.process.kill()
    there.start_again()
    return f"process {there.up.process.pid}"


FAULTS: dict[str, Fault] = {
    "web worker killed": kill_web_worker,
    "web master killed": kill_web_master,
    "default worker killed": kill_worker,
    "training worker killed": kill_training_worker,
    "training process killed": kill_trainer,
    "beat killed": kill_beat,
    "PostgreSQL killed": kill_postgres,
    "a connection's process killed": kill_backend,
    "messages dropped": drop_messages,
    "broker away": stop_broker,
    "disk full": fill_disk,
    "everything killed": kill_everything,
}


def why_not(name: str, data: Path) -> str:
    """Why a fault can't be had here; empty where it can. The disk is only filled where it is ours alone."""
    if FAULTS[name] is fill_disk and not os.path.ismount(data):
        return "no file system of our own could be mounted (unshare --mount is not permitted)"
    return ""


def _kill_one_of(processes: Sequence[psutil.Process], chance: random.Random) -> str:
    return _kill(chance.choice(processes) if processes else None)


def _kill(process: psutil.Process | None) -> str:
    if process is None:
        return "nobody was there"
    with suppress(psutil.NoSuchProcess):
        process.kill()
        while process.status() != psutil.STATUS_ZOMBIE:  # it dies soon after, and only then is anything amiss
            time.sleep(0.01)
    return f"process {process.pid}"
