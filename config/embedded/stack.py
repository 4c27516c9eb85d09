"""All that `manage.py up` starts: the embedded services, the web server, a worker for each queue, and the clock."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from django.conf import settings

from config.embedded import broker, locks, postgres
from config.embedded.processes import Processes, Program, end_marked

ANSWER_SECONDS = 90
STOP_SECONDS = 30
STOPPING = "stopping"
METRICS = Path("run") / "metrics"  # where the web's processes count, for all to be added up; from nothing at each start
WORKER_FLAGS = (
    "--pool",
    "threads",
    "--without-gossip",
    "--without-mingle",
    "--without-heartbeat",
    "--loglevel",
    "INFO",
)


class StartRefused(RuntimeError):
    """The installation cannot start here and now; the message says why and what to do."""


@dataclass
class Stack:
    """The running installation. `port` is the one it listens on, also where 0 was asked for."""

    processes: Processes
    listener: socket.socket
    lock: TextIO

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}/"

    def serve(self) -> None:
        """Start the web server, the workers and the clock, and return once the page answers."""
        for program in programs(self.listener.fileno()):
            self.processes.start(program)
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise StartRefused(
                    f"The web server does not answer after {ANSWER_SECONDS} seconds. "
                    f"Its log says why: {self.processes.log('web')}"
                )
            self.mend()
            time.sleep(0.1)

    def mend(self) -> None:
        """Start again whatever has died, the database first. Call it every second or so."""
        if settings.EMBEDDED and postgres.server_pid(settings.DATA) is None:
            self.processes.say("The database server ended; starting it again.")
            postgres.start(settings.DATA, with_parent=True)
        self.processes.mend()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/account/login/", headers={"Host": "localhost"})
            return connection.getresponse().status < 500
        return False


@contextmanager
def running(port: int, *, say: Callable[[str], None], hurry: Callable[[], bool] = lambda: False) -> Iterator[Stack]:
    """Hold the installation: its lock, its port and the embedded services. All that was started ends with the block."""
    data: Path = settings.DATA
    run = data / "run"
    run.mkdir(parents=True, exist_ok=True)
    with ExitStack() as exits:
        lock = exits.enter_context(_alone(run / "up.lock"))
        end_marked(data)  # what a killed predecessor left
        listener = exits.enter_context(listening(port))
        stack = Stack(Processes(data, say), listener, lock)
        _write(lock, f"{stack.address} (process {os.getpid()})")
        if settings.EMBEDDED:
            exits.enter_context(locks.shared(run / "postgres.users"))
            exits.callback(postgres.stop, data)
            postgres.start(data, with_parent=True)
        if settings.CELERY_BROKER_URL == broker.URL:
            broker.recover(data / "broker")
        shutil.rmtree(data / METRICS, ignore_errors=True)
        exits.callback(stack.processes.stop, hurry=hurry)
        exits.callback(_write, lock, STOPPING)
        yield stack


def programs(listener: int) -> list[Program]:
    """What serves, each with its command; `listener` is the open socket that the web server answers on."""
    python = sys.executable
    celery = (python, "-m", "celery", "-A", "config")
    web = (
        *(python, "-m", "gunicorn", "config.wsgi:application", "--bind", f"fd://{listener}"),
        *("--worker-class", "gthread", "--workers", "2", "--threads", "8", "--timeout", "120"),
        *("--graceful-timeout", "3", "--no-control-socket"),
        *("--env", f"PROMETHEUS_MULTIPROC_DIR={settings.DATA / METRICS}"),
    )
    schedule = ("--schedule", settings.CELERY_BEAT_SCHEDULE_FILENAME, "--pidfile=")
    # A worker whose parent vanished is killed outright: asked politely, it would first finish a long training run.
    return [
        Program("web", web, files=(listener,)),
        Program("worker-default", (*celery, "worker", *_queue("default", threads=4)), orphaned=signal.SIGKILL),
        Program("worker-training", (*celery, "worker", *_queue("training", threads=1)), orphaned=signal.SIGKILL),
        Program("beat", (*celery, "beat", *schedule)),
    ]


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket that listens on this machine's own address alone; StartRefused if the port is taken."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except PermissionError:
            raise StartRefused(
                f"Port {port} is reserved for root. Choose one from 1024 up: PORT=9000 make run"
            ) from None
        except OSError:
            other = port + 1000 if port < 60000 else port - 1000
            raise StartRefused(
                f"Port {port} is taken by another program. Choose another one: PORT={other} make run"
            ) from None
        listener.listen(128)
        yield listener


@contextmanager
def _alone(path: Path) -> Iterator[TextIO]:
    """The installation's lock; waits for a predecessor that is stopping, refuses beside one that runs."""
    started = time.monotonic()
    with ExitStack() as exits:
        while True:
            try:
                lock = exits.enter_context(locks.held_or_refused(path))
                break
            except BlockingIOError:
                holder = path.read_text().strip()
                patience = STOP_SECONDS if holder in ("", STOPPING) else 1
                if time.monotonic() - started > patience:
                    raise StartRefused(
                        f"Plumbline already runs on this data folder: {holder or 'starting'}. Stop that one first, or "
                        "give this one a data folder of its own: PLUMBLINE_DATA=/some/folder PORT=9000 make run"
                    ) from None
                time.sleep(0.1)
        yield lock


def _queue(name: str, *, threads: int) -> tuple[str, ...]:
    worker = ("--queues", name, "--hostname", f"{name}@%h", "--concurrency", str(threads))
    return (*worker, *WORKER_FLAGS)


def _write(lock: TextIO, line: str) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(line)
    lock.flush()
