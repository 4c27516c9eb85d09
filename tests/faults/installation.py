"""The real product on a throw-away data folder: its processes by what they do, and starting it again."""

from __future__ import annotations

import http.client
import signal
import time
from pathlib import Path

import psutil

from config.embedded import postgres
from config.embedded.processes import MARK
from tests.config.test_up import Up, clean, survivors
from tests.faults.brokers import Broker
from tests.team_services import free_port

RECOVERY_SECONDS = 180.0
PROGRAMS = ("web", "worker-default", "worker-training", "beat")


class Installation:
    """`manage.py up --no-demo`, always on the same port, so that people may go on asking while it is away."""

    def __init__(self, data: Path, broker: Broker) -> None:
        self.data, self.broker, self.port = data, broker, free_port()
        self.said: list[str] = []
        self.up = self._start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _start(self) -> Up:
        started = Up(self.data, port=self.port, **self.broker.environment)
        self.said = started.lines
        return started

    def start_again(self) -> None:
        """What a person, or systemd, does after everything was killed."""
        self.up.process.wait()
        self.up = self._start()

    def wait_until_well(self) -> None:
        """Until every part runs and the page answers; AssertionError where that takes minutes."""
        began = time.monotonic()
        while missing := self.missing():
            assert self.up.process.poll() is None, "`manage.py up` has ended:\n" + "\n".join(self.said[-10:])
            assert time.monotonic() - began < RECOVERY_SECONDS, f"{missing} did not come back: {self.said[-10:]}"
            time.sleep(0.1)

    def missing(self) -> str:
        """The first part that does not run or does not answer."""
        for name in PROGRAMS:
            if self.program(name) is None:
                return name
        if postgres.server_pid(self.data) is None:
            return "postgres"
        return "" if self._answers() else "the page"

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/account/login/", headers={"Host": "localhost"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def program(self, name: str) -> psutil.Process | None:
        """One of those that `up` itself keeps alive; None while it is dead or still becomes what it is to be."""
        sign = {"web": "gunicorn", "beat": "beat"}.get(name) or f"{name.removeprefix('worker-')}@%h"
        for process in self._children():
            try:
                if sign in process.cmdline() and "launch.py" not in " ".join(process.cmdline()):
                    return process
            except psutil.Error:
                continue
        return None

    def _children(self) -> list[psutil.Process]:
        try:
            return [each for each in psutil.Process(self.up.process.pid).children() if each.status() != "zombie"]
        except psutil.Error:
            return []

    def web_workers(self) -> list[psutil.Process]:
        master = self.program("web")
        return _children_of(master) if master else []

    def backends(self) -> list[psutil.Process]:
        """The processes of PostgreSQL that each serve one connection of ours."""
        server = postgres.server_pid(self.data)
        served = f"postgres: {postgres.NAME} "
        found = _children_of(psutil.Process(server)) if server else []
        return [each for each in found if _line(each).startswith(served)]

    def trainers(self) -> list[psutil.Process]:
        """Processes that train or wait to."""
        return [each for each in self.marked() if any(name in _line(each) for name in ("algorithms", "training.warm"))]

    def marked(self) -> list[psutil.Process]:
        """Whatever was started for this installation, directly or not."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == str(self.data) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def orphans(self) -> list[psutil.Process]:
        """Those that `up` is no ancestor of: what they were started by is gone."""
        return [each for each in self.marked() if self.up.process.pid not in _ancestors(each)]

    def stop(self) -> list[str]:
        """Ctrl-C; what is left of it, which should be nothing."""
        if self.up.process.poll() is None:
            self.up.stop(signal.SIGINT)
        return survivors(self.data)

    def clear(self) -> None:
        if self.up.process.poll() is None:
            self.up.process.kill()
        self.up.process.wait()
        clean(self.data)
        self.broker.stop()


def _children_of(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.Error:
        return []


def _ancestors(process: psutil.Process) -> list[int]:
    try:
        return [each.pid for each in process.parents()]
    except psutil.Error:
        return []


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
