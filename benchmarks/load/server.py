"""The installation that is measured, as `make run` starts it, and what it uses: memory, connections, statements."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from config.embedded.processes import MARK

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 600
SETTLE_SECONDS = 0.5


@dataclass
class Installation:
    """A running one. `folder` is its data folder."""

    folder: Path
    port: int

    def web(self) -> list[psutil.Process]:
        """The web server's processes."""
        return [process for process in self.processes() if "config.wsgi:application" in cmdline(process)]

    def processes(self) -> list[psutil.Process]:
        """All of them but the database's."""
        return [process for process in psutil.process_iter() if environment(process).get(MARK) == str(self.folder)]

    def database(self) -> list[psutil.Process]:
        from config.embedded import postgres

        pid = postgres.server_pid(self.folder)
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)] if pid else []


@contextmanager
def running(folder: Path) -> Iterator[Installation]:
    """`manage.py up` in this folder: the database, the web server, a worker for each queue, and the clock."""
    port = free_port()
    command = [sys.executable, "manage.py", "up", "--no-demo", "--port", str(port), "--with", str(os.getpid())]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"The installation does not start (exit status {process.poll()}); its logs: {folder / 'run'}")
            time.sleep(0.2)
        yield Installation(folder, port)
    finally:
        process.terminate()
        process.wait(60)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/account/login/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def memory_mb(processes: list[psutil.Process]) -> float:
    """What these have in memory, pages that several share counted once."""
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 2**20


def processor_seconds(processes: list[psutil.Process]) -> float:
    """Also of those that they started and that have ended."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
        except psutil.Error:
            continue
    return total


def others_share(processes: list[psutil.Process]) -> float:
    """Of the time of all cores since the machine started, the seconds that none of these and no idling had."""
    times = psutil.cpu_times()
    busy = times.user + times.nice + times.system + times.irq + times.softirq
    return float(busy) - processor_seconds(processes)


@contextmanager
def statements_logged(folder: Path) -> Iterator[list[str]]:
    """Every statement that the database gets from the web server while the block runs, BEGIN and COMMIT included.

    Its log says which backend got it; the web server's are those that look up sessions. The log is emptied first: `up`
    would move a large one aside meanwhile.
    """
    log = folder / "run" / "logs" / "postgres.log"
    os.truncate(log, 0)
    log.with_suffix(".log.1").unlink(missing_ok=True)
    log_all(yes=True)
    found: list[str] = []
    try:
        yield found
    finally:
        time.sleep(SETTLE_SECONDS)
        with log.open(errors="replace") as file:
            lines = [line for line in file if "LOG:  statement:" in line or "LOG:  execute " in line]
        log_all(yes=False)
        if log.with_suffix(".log.1").exists():
            sys.exit("The database's log outgrew its limit while statements were counted; count fewer cycles at once.")
        web = {backend_of(line) for line in lines if "django_session" in line}
        found += [line for line in lines if backend_of(line) in web]


def backend_of(line: str) -> str:
    return line.partition("[")[2].partition("]")[0]


def log_all(*, yes: bool) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("alter system set log_statement = 'all'" if yes else "alter system reset log_statement")
        cursor.execute("select pg_reload_conf()")
    time.sleep(SETTLE_SECONDS)


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return dict[str, str]()


def cores() -> int:
    return os.cpu_count() or 1
