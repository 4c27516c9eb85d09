"""Being asked to stop: by Ctrl-C, by a supervisor, by the terminal that closes."""

from __future__ import annotations

import signal
from types import FrameType


class Interruption:
    """SIGINT, SIGTERM and SIGHUP, told apart: the first stops us in order, any further one hurries that along."""

    def __init__(self) -> None:
        self.stopping = self.hurried = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            self.hurried = True
            return
        self.stopping = True
        raise KeyboardInterrupt

    def hurry(self) -> bool:
        return self.hurried
