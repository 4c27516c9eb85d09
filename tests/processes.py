"""Real processes beside the test: Celery workers and lone supervisors, on the test's own database and broker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from django.conf import settings
from django.db import connection

T = TypeVar("T")


def environment() -> dict[str, str]:
    """The test's own, with its database by URL: another process would take the one that is not for tests."""
    to = connection.settings_dict
    where = f"{quote(to['USER'])}:{quote(to['PASSWORD'])}@{quote(to['HOST'], safe='')}:{to['PORT']}/{quote(to['NAME'])}"
    return os.environ | {
        "DATABASE_URL": f"postgres://{where}",
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "PUBLIC_HTTPS": "False",
        "PYTHONPATH": str(settings.BASE_DIR),
    }


@contextmanager
def web() -> Iterator[str]:
    """The web server as the stack starts it; its address."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = ["gunicorn", "config.wsgi:application", "--bind", f"fd://{listener.fileno()}"]
        size = ["--worker-class", "gthread", "--workers", "2", "--threads", "8"]
        process = subprocess.Popen(
            [sys.executable, "-m", *server, *size], env=environment(), cwd=settings.BASE_DIR,
            pass_fds=[listener.fileno()],
        )  # fmt: skip
        try:
            yield address
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def worker(
    *, queues: str = "default,training", threads: int = 2, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker as the stack starts it, with more variables in its environment."""
    command = [
        "-m",
        "celery",
        "-A",
        "config",
        "worker",
        "-Q",
        queues,
        "-P",
        "threads",
        "-c",
        str(threads),
        "-l",
        "INFO",
    ]
    log = settings.DATA / "worker.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
            env=environment() | variables, cwd=settings.BASE_DIR, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def supervisor(run_id: int) -> Iterator[subprocess.Popen[bytes]]:
    """One process that carries the run out and nothing else."""
    code = f"import django; django.setup(); from training import runs; runs.execute({run_id})"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment(), cwd=settings.BASE_DIR)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(what: Callable[[], T], *, seconds: float = 120, every: float = 0.1) -> T:
    """The first true answer; fails with the last one when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(every)


def trainers(run: Any) -> list[int]:
    """The processes that train this run now."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            command = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0") if entry.isdigit() else []
        except OSError:
            continue
        if b"training.algorithms" in command and str(run.folder).encode() in command:
            found.append(int(entry))
    return found
