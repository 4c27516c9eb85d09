"""One interpreter kept warm for the next stage of a round, so that people wait less for the new model's outputs."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading

from training import commands

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0


class Spare:
    """At most one waits. Whoever takes it owns the process; what nobody takes within a minute of a run's end, ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._device = ""
        self._timer: threading.Timer | None = None

    def warm_up(self, device: str = "") -> None:
        """Start one that sees this device, unless one waits."""
        with self._lock:
            self._stop_timer()
            if self._waiting is not None:
                return
            ours, theirs = socket.socketpair()
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-m", "training.warm", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    env=commands.environment(device),
                    start_new_session=True,
                    pass_fds=[theirs.fileno()],
                )
            self._waiting, self._device = (process, ours), device

    def take(self, arguments: list[str], *, output: int, lock: int, device: str = "") -> subprocess.Popen[bytes] | None:
        """The waiting process, now running `training.algorithms` with these arguments; None where none waits that sees
        the device.
        """
        with self._lock:
            if device != self._device:
                return None
            self._stop_timer()
            waiting, self._waiting = self._waiting, None
        if waiting is None:
            return None
        process, channel = waiting
        with channel:
            try:
                socket.send_fds(channel, [json.dumps(arguments).encode()], [output, lock])
            except OSError as error:
                log.warning("The interpreter kept warm is gone (%s); starting another.", error)
                process.kill()
                process.wait()
                return None
        return process

    def expire(self) -> None:
        """Let the one that waits end in a minute, if nobody has taken it by then."""
        with self._lock:
            self._stop_timer()
            if self._waiting is not None:
                self._timer = threading.Timer(IDLE_SECONDS, self.drop)
                self._timer.daemon = True
                self._timer.start()

    def drop(self) -> None:
        """End the one that waits, now."""
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            process, channel = waiting
            channel.close()
            process.kill()
            process.wait()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
