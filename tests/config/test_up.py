from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config.embedded import postgres
from config.embedded.processes import MARK, end_marked

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 120


class Up:
    """`manage.py up` as a person starts it: a process, its lines, and the address it prints."""

    def __init__(self, data: Path, *, port: int = 0, **named: str) -> None:
        self.data, self.lines = data, list[str]()
        inherited = {
            key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "CELERY_BROKER_URL")
        }
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--no-demo", "--port", str(port)],
            cwd=ROOT, env=inherited | {"PLUMBLINE_DATA": str(data)} | named, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line.rstrip())

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def port(self) -> int:
        wait(lambda: "answers at" in self.said or self.process.poll() is not None)
        found = re.search(r"answers at http://localhost:(\d+)/", self.said)
        assert found, f"{self.said}\n{logs(self.data)}"
        return int(found[1])

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def logs(data: Path) -> str:
    return "\n".join(f"── {log.name}\n{log.read_text()[-1500:]}" for log in (data / "run" / "logs").glob("*.log"))


def survivors(data: Path) -> list[str]:
    """Every process that has to do with the data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(MARK) == str(data) or str(data) in " ".join(process.cmdline())
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def status(port: int, path: str = "/account/login/") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": "localhost"})
    return connection.getresponse().status


def clean(data: Path) -> None:
    end_marked(data, hurry=lambda: True)
    postgres.stop(data)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    started = Up(tmp_path_factory.mktemp("up"))
    yield started
    started.stop()
    clean(started.data)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    clean(tmp_path)


def test_it_serves_pages_on_this_machine_alone(up: Up) -> None:
    port = up.port()
    assert status(port) == 200
    listening = [
        tuple(connection.laddr)
        for process in psutil.process_iter()
        if MARK in environment_of(process) and environment_of(process)[MARK] == str(up.data)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {("127.0.0.1", port)}


def test_both_workers_take_remote_control(up: Up) -> None:
    up.port()
    environment = os.environ | {"PLUMBLINE_DATA": str(up.data)}
    ping = [sys.executable, "-m", "celery", "-A", "config", "inspect", "ping", "--timeout", "10"]
    answers: list[str] = []

    def both() -> bool:
        done = subprocess.run(ping, cwd=ROOT, env=environment, capture_output=True, text=True)
        answers[:] = re.findall(r"-> +(default|training)@.*: OK", done.stdout)
        return sorted(answers) == ["default", "training"]

    wait(both)


def test_a_second_one_on_the_same_folder_is_refused_and_the_first_goes_on(up: Up) -> None:
    port = up.port()
    second = Up(up.data)
    assert second.process.wait(PATIENCE) == 1
    assert f"already runs on this data folder: http://localhost:{port}/" in second.said
    assert "PLUMBLINE_DATA=" in second.said
    assert status(port) == 200


def test_a_worker_that_dies_is_started_again_with_a_line_about_it(up: Up) -> None:
    up.port()
    victim = next(process for process in psutil.process_iter() if is_worker(process, "training", up.data))
    victim.kill()
    wait(lambda: "worker-training ended (signal SIGKILL)" in up.said)
    wait(lambda: any(is_worker(process, "training", up.data) for process in psutil.process_iter()))


def test_the_database_that_dies_is_started_again(up: Up) -> None:
    port = up.port()
    first = postgres.server_pid(up.data)
    assert first
    os.kill(first, signal.SIGKILL)
    wait(lambda: postgres.server_pid(up.data) not in (None, first))
    wait(lambda: status(port) == 200)
    assert "The database server ended" in up.said


def test_a_database_that_cannot_start_is_tried_again_until_it_can(up: Up) -> None:
    """As where the disk is full: the rest goes on, and it comes back without anybody's help."""
    port = up.port()
    control = up.data / "postgres" / "global" / "pg_control"
    server = postgres.server_pid(up.data)
    assert server
    control.rename(control.with_name("aside"))
    os.kill(server, signal.SIGKILL)
    wait(lambda: "Trying again" in up.said)
    assert up.process.poll() is None
    control.with_name("aside").rename(control)
    wait(lambda: postgres.server_pid(up.data))
    wait(lambda: status(port) == 200)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_leaves_no_process_and_frees_the_port(data: Path, number: signal.Signals) -> None:
    up = Up(data)
    port = up.port()
    assert len(survivors(data)) >= 6
    started = time.monotonic()
    assert up.stop(number) == 0, up.said
    assert time.monotonic() - started < 20
    assert survivors(data) == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_stopping_it_while_it_starts_leaves_no_process_either(data: Path) -> None:
    up = Up(data)
    wait(lambda: "Starting the web server" in up.said)
    assert up.stop() == 0, up.said
    assert survivors(data) == []


def test_after_a_kill_nothing_blocks_the_next_start_on_the_same_port(data: Path) -> None:
    first = Up(data)
    port = first.port()
    first.stop(signal.SIGKILL)
    second = Up(data, port=port)
    assert second.port() == port
    assert status(port) == 200
    assert second.stop() == 0
    assert survivors(data) == []


def test_a_taken_port_is_reported_before_anything_starts(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = Up(data, port=port)
        assert up.process.wait(PATIENCE) == 1
    wait(lambda: "make run" in up.said)
    assert re.search(rf"Port {port} is taken by another program\. Choose another one: PORT=\d+ make run", up.said)
    assert not (data / "postgres").exists()
    assert survivors(data) == []


def environment_of(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except psutil.Error:
        return {}


def is_worker(process: psutil.Process, queue: str, data: Path) -> bool:
    try:
        return f"{queue}@%h" in process.cmdline() and environment_of(process).get(MARK) == str(data)
    except psutil.Error:
        return False
