"""A team's services, on this machine and for a while: the system's own PostgreSQL and Redis on free loopback ports.

`python tests/team_services.py COMMAND...` runs a command with DATABASE_URL and CELERY_BROKER_URL that name them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import redis

LAUNCH = Path(__file__).resolve().parent.parent / "config" / "embedded" / "launch.py"
START_SECONDS = 30


class ServiceMissing(RuntimeError):
    """PostgreSQL or Redis is not installed on this machine; the message says how to get it."""


@contextmanager
def team_services() -> Iterator[dict[str, str]]:
    """Both services, empty; yields the environment that names them. They and their folders are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="plumbline-team-") as folder, ExitStack() as exits:
        database = exits.enter_context(_postgres(Path(folder)))
        broker = exits.enter_context(redis_server(Path(folder)))
        yield {
            "DATABASE_URL": database,
            "CELERY_BROKER_URL": broker,
            "SECRET_KEY": secrets.token_urlsafe(40),
            "PUBLIC_HTTPS": "False",
        }


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    data, password, port = folder / "postgres", secrets.token_urlsafe(16), free_port()
    (folder / "password").write_text(password)
    initdb = [_postgres_program("initdb"), "-D", str(data), "-U", "plumbline", "-A", "scram-sha-256", "-E", "UTF8"]
    _launched([*initdb, "--locale=C.UTF-8", f"--pwfile={folder / 'password'}"], folder / "initdb.log").wait(60)
    server = [_postgres_program("postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    server += ["-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    with _running(server, folder / "postgres.log") as alive:
        url = f"postgresql://plumbline:{password}@127.0.0.1:{port}"
        _wait(lambda: psycopg.connect(f"{url}/postgres").close(), alive, folder / "postgres.log")
        with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
            connection.execute("create database plumbline")
        yield f"{url}/plumbline"


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Redis alone; yields its URL."""
    program = shutil.which("redis-server")
    if not program:
        raise ServiceMissing("redis-server is not installed; on Debian: apt-get install redis-server")
    password, port = secrets.token_urlsafe(16), free_port()
    config = folder / "redis.conf"
    config.write_text(f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\ndir {folder}\n')
    with _running([program, str(config)], folder / "redis.log") as alive:
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        _wait(lambda: redis.Redis.from_url(url).ping(), alive, folder / "redis.log")
        yield url


def _postgres_program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    path = str(found[-1]) if found else shutil.which(name)
    if not path:
        raise ServiceMissing(f"PostgreSQL's {name} is not installed; on Debian: apt-get install postgresql")
    return path


def _launched(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    launch = [sys.executable, "-I", str(LAUNCH), "--unprivileged", "--die-with", str(os.getpid())]
    with log.open("ab") as out:
        return subprocess.Popen([*launch, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, process_group=0)


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = _launched(command, log)
    try:
        yield process
    finally:
        process.send_signal(2)  # PostgreSQL's fast shutdown; Redis's too
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(answers: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            answers()
            return
        except (psycopg.OperationalError, redis.ConnectionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} does not answer:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.05)


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    with team_services() as environment:
        return subprocess.run(sys.argv[1:], env=os.environ | environment).returncode


if __name__ == "__main__":
    raise SystemExit(main())
