"""The web's side: asking a served model, and waiting for it where it has to be started first."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from training import messages
from training.algorithms.local_sockets import short_name
from training.models import Policy, RewardModel
from training.playground.places import Place, place_of

START_SECONDS = 180.0  # a large model takes minutes to be read
REMIND_SECONDS = 5.0  # a message may be lost
LOOK_SECONDS = 0.1
SAY_SECONDS = 1.0
ROOM_SECONDS = 30.0  # for what comes after the answer


class Unavailable(Exception):
    """The model can't be asked; the message is translated and says what to do."""


class Waiting:
    """Nothing to tell yet; given about once a second."""


def wake(model: Policy | RewardModel) -> None:
    """Have it started, if it is not there; who asks it later waits less."""
    if settings.PLAYGROUND_MODELS < 1:
        return
    if (connection := _connected(place_of(model))) is None:
        _nudge(model)
    else:
        connection.close()


def ask(
    model: Policy | RewardModel, request: dict[str, Any], *, seconds: float, patience: float = START_SECONDS
) -> Iterator[Waiting | dict[str, Any]]:
    """The lines of the model's answer, which has so long once the model is there. Raises Unavailable.

    patience: seconds to wait for its start.
    """
    place = place_of(model)
    for _attempt in range(2):  # it may be leaving just now, being idle
        connection = yield from _reached(model, place, patience)
        last: dict[str, Any] = {}
        with connection, suppress(OSError, ValueError):  # its last line may have been cut short
            connection.settimeout(seconds + ROOM_SECONDS)
            connection.sendall(json.dumps(request).encode() + b"\n")
            for line in _lines(connection):
                last = json.loads(line)
                if "problem" in last:
                    raise Unavailable(last["problem"])
                yield last
        if last and "text" not in last:
            return
        if last:
            break
    raise Unavailable(_("The model's process ended while it answered. Its log: %(log)s") % {"log": place.log})


def leaves(place: Place) -> bool:
    """Ask the process to make room; whether it will."""
    connection = _connected(place)
    if connection is None:
        return False
    with connection, suppress(OSError, ValueError):
        connection.settimeout(REMIND_SECONDS)
        connection.sendall(b'{"ask": "leave"}\n')
        return bool(json.loads(next(_lines(connection), b"{}")).get("leaves"))
    return False


def _reached(model: Policy | RewardModel, place: Place, patience: float) -> Generator[Waiting, None, socket.socket]:
    """A connection (the generator's return value), once there is a process to connect to."""
    if settings.PLAYGROUND_MODELS < 1:
        raise Unavailable(_("The playground is switched off on this installation (PLAYGROUND_MODELS is 0)."))
    before, began, nudged, said = place.problem(), time.monotonic(), float("-inf"), time.monotonic()
    while (connection := _connected(place)) is None:
        now = time.monotonic()
        if (problem := place.problem()) and problem != before:
            raise Unavailable(_told(problem[1], model))
        if now - began > patience:
            raise Unavailable(_too_late(place))
        if now - nudged > REMIND_SECONDS:
            nudged = now
            _nudge(model)
        if now - said > SAY_SECONDS:
            said = now
            yield Waiting()
        time.sleep(LOOK_SECONDS)
    return connection


def _connected(place: Place) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        with short_name(place.socket) as name:
            connection.connect(name)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def _lines(connection: socket.socket) -> Iterator[bytes]:
    with connection.makefile("rb") as file:
        yield from file


def _nudge(model: Policy | RewardModel) -> None:
    messages.nudge("serve_policy" if isinstance(model, Policy) else "serve_reward_model", model.pk)


def _told(problem: dict[str, Any], model: Policy | RewardModel) -> str:
    if problem["kind"] == "full":
        return _("%(count)d models are being asked already, as many as are served at once. Try again in a minute.") % {
            "count": problem["models"]
        }
    if problem["code"] < 0:
        return _(
            "The process of %(model)s was ended by signal %(signal)d, perhaps for want of memory. "
            "Free some, or choose a smaller model."
        ) % {"model": model.name, "signal": -problem["code"]}
    return _("%(model)s can't be served: %(reason)s") % {"model": model.name, "reason": problem["said"]}


def _too_late(place: Place) -> str:
    if place.is_alive():
        return _("The model is still being loaded. Try again in a minute.")
    return _("No worker has started the model. Is a worker of the queue “default” running on this machine?")
