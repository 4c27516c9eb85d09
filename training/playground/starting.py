"""The worker's side: a model's process, started for whoever asks, watched by the worker it ends with."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time

from django.conf import settings

from training import commands
from training.models import Policy, RewardModel
from training.playground import client
from training.playground.places import Place, alive, held_or_not, one_at_a_time, place_of

log = logging.getLogger(__name__)

LEAVE_SECONDS = 10.0
ENDED_IN_ORDER = (0, 75)
TOLD = 2_000  # characters of a log


def start(model: Policy | RewardModel) -> None:
    """Start its process unless one lives. Where there are too many, the one that was idle longest makes room."""
    place = place_of(model)
    with one_at_a_time(), held_or_not(place.lock) as lock:
        if lock is None:
            return
        if not _make_room(place):
            place.fail("full", models=settings.PLAYGROUND_MODELS)
            return
        place.problem_file.unlink(missing_ok=True)
        place.socket.unlink(missing_ok=True)
        with place.log.open("wb") as output:
            process = subprocess.Popen(
                command(model, place),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=commands.environment(),
                start_new_session=True,
                pass_fds=[lock],  # it holds the lock to its end, also where this worker is killed
            )
    threading.Thread(target=_see_off, args=(process, place), daemon=True).start()


def command(model: Policy | RewardModel, place: Place) -> list[str]:
    kind = "--policy" if isinstance(model, Policy) else "--reward-model"
    return [
        *(sys.executable, "-m", "training.algorithms.serving", kind, model.location, "--socket", str(place.socket)),
        *("--idle", str(settings.PLAYGROUND_IDLE_SECONDS), "--supervisor", str(os.getpid())),
    ]


def _make_room(place: Place) -> bool:
    others = sorted((each for each in alive() if each != place), key=Place.asked_at)
    if len(others) < settings.PLAYGROUND_MODELS:
        return True
    return any(client.leaves(each) and _is_gone(each) for each in others)


def _is_gone(place: Place) -> bool:
    deadline = time.monotonic() + LEAVE_SECONDS
    while place.is_alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _see_off(process: subprocess.Popen[bytes], place: Place) -> None:
    """Wait for its end, so that nothing is left of it, and leave word where it should not have ended."""
    code = process.wait()
    if code not in ENDED_IN_ORDER:
        said = place.log.read_text(errors="replace")[-TOLD:].strip()
        log.warning("A served model ended with %s: %s", code, said)
        place.fail("ended", code=code, said=said.splitlines()[-1] if said else "")
