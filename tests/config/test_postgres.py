from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from config.embedded import postgres


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    postgres.stop(tmp_path)


def connect(data: Path, **changes: str) -> psycopg.Connection:
    entry = postgres.connection_settings(data)
    given = {"host": entry["HOST"], "port": entry["PORT"], "dbname": entry["NAME"], "user": entry["USER"]}
    return psycopg.connect(**(given | {"password": entry["PASSWORD"]} | changes))


def start_and_wait_in_another_process(data: Path) -> subprocess.Popen[str]:
    code = (
        "import sys, time; from pathlib import Path; from config.embedded import postgres\n"
        "postgres.start(Path(sys.argv[1]), with_parent=True, durable=False); print('up', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(data)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    return process


def test_it_starts_answers_keeps_its_rows_over_a_restart_and_stops(data: Path) -> None:
    postgres.start(data)
    with connect(data) as connection:
        connection.execute("create table kept (word text)")
        connection.execute("insert into kept values ('Überraschung 你好')")
    postgres.stop(data)
    assert postgres.server_pid(data) is None
    postgres.start(data)
    with connect(data) as connection:
        assert connection.execute("select upper(word) from kept").fetchall() == [("ÜBERRASCHUNG 你好",)]


def test_it_asks_for_the_password_and_has_no_port(data: Path) -> None:
    postgres.start(data, durable=False)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(data, password="wrong")
    pid = postgres.server_pid(data)
    assert pid
    assert psutil.Process(pid).net_connections("inet") == []
    with connect(data) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)


def test_what_it_keeps_is_its_owners_alone(data: Path) -> None:
    postgres.start(data, durable=False)
    modes = {
        data / "postgres.password": 0o600,
        postgres.socket_folder(data): 0o700,
        data / "postgres": 0o700,
        data / "run" / "logs" / "postgres.log": 0o600,
    }
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in modes} == modes


def test_a_second_start_takes_the_running_server_over(data: Path) -> None:
    postgres.start(data, durable=False)
    first = postgres.server_pid(data)
    postgres.start(data, durable=False)
    assert postgres.server_pid(data) == first


def test_several_starts_at_once_make_one_server(data: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: postgres.start(data, durable=False), range(4)))
    servers = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "-D" in (process.info["cmdline"] or []) and str(data / "postgres") in process.info["cmdline"]
    ]
    assert servers == [postgres.server_pid(data)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_parent_takes_its_server_along(data: Path) -> None:
    parent = start_and_wait_in_another_process(data)
    pid = postgres.server_pid(data)
    assert pid
    parent.kill()
    parent.communicate()
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
    assert postgres.server_pid(data) is None


def test_a_server_on_its_way_out_is_waited_for_and_replaced(data: Path) -> None:
    postgres.start(data, durable=False)
    first = postgres.server_pid(data)
    assert first
    with connect(data) as busy, ThreadPoolExecutor(1) as threads:
        work = threads.submit(busy.execute, "select count(*) from generate_series(1, 30000000)")
        time.sleep(0.3)
        psutil.Process(first).suspend()  # so that it is still there, and deaf, when the next start looks
        os.kill(first, signal.SIGINT)
        wake = threading.Timer(1.0, psutil.Process(first).resume)
        wake.start()
        postgres.start(data, durable=False)
        with pytest.raises(psycopg.OperationalError):
            work.result(timeout=30)
        busy.close()
    assert postgres.server_pid(data) not in (None, first)


def test_a_server_that_can_not_get_out_is_ended_and_replaced(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "STOP_SECONDS", 2)
    postgres.start(data, durable=False)
    first = postgres.server_pid(data)
    assert first
    with connect(data) as kept:
        psutil.Process(kept.info.backend_pid).suspend()  # it hears nothing, and its server waits for it
        os.kill(first, signal.SIGINT)
        postgres.start(data, durable=False)
        assert postgres.server_pid(data) not in (None, first)
        kept.close()
    with connect(data) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_server_killed_in_the_middle_of_work_loses_nothing_committed(data: Path) -> None:
    postgres.start(data)
    with connect(data) as connection:
        connection.execute("create table kept as select generate_series(1, 1000) as number")
    pid = postgres.server_pid(data)
    assert pid
    with connect(data) as connection:
        connection.execute("insert into kept values (-1)")  # never committed
        os.kill(pid, signal.SIGKILL)
        psutil.Process(pid).wait(5)
        assert (data / "postgres" / "postmaster.pid").exists()
        postgres.start(data)
        connection.close()
    with connect(data) as connection:
        assert connection.execute("select count(*), min(number) from kept").fetchone() == (1000, 1)


def test_a_backend_that_outlives_its_server_blocks_nothing(data: Path) -> None:
    postgres.start(data, durable=False)
    with connect(data) as connection, ThreadPoolExecutor(1) as threads:
        busy = threads.submit(connection.execute, "select count(*) from generate_series(1, 1000000000)")
        time.sleep(0.3)
        pid = postgres.server_pid(data)
        assert pid
        os.kill(pid, signal.SIGKILL)
        psutil.Process(pid).wait(5)
        assert not busy.done()
        postgres.start(data, durable=False)
        with pytest.raises(psycopg.OperationalError):
            busy.result(timeout=10)
        connection.close()
    with connect(data) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_pid_files_that_name_a_stranger_block_nothing_and_do_it_no_harm(data: Path) -> None:
    postgres.start(data, durable=False)
    postgres.stop(data)
    stranger = subprocess.Popen(["sleep", "600"])
    lines = [str(stranger.pid), str(data / "postgres"), "0", postgres.PORT, str(postgres.socket_folder(data)), "", ""]
    (data / "postgres" / "postmaster.pid").write_text("\n".join(lines))
    (postgres.socket_folder(data) / ".s.PGSQL.5432.lock").write_text("\n".join(lines))
    try:
        postgres.start(data, durable=False)
        assert postgres.server_pid(data) not in (None, stranger.pid)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_first_start_is_begun_again(data: Path) -> None:
    (data / "postgres.new").mkdir()
    (data / "postgres.new" / "PG_VERSION").write_text("18")
    postgres.start(data, durable=False)
    with connect(data) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_data_folder_too_deep_for_a_socket_still_works(tmp_path: Path) -> None:
    data = tmp_path / ("deep" * 20) / ("deeper" * 10)
    data.mkdir(parents=True)
    assert data not in postgres.socket_folder(data).parents
    try:
        postgres.start(data, durable=False)
        with connect(data) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert stat.S_IMODE(postgres.socket_folder(data).stat().st_mode) == 0o700
    finally:
        postgres.stop(data)
        for leftover in postgres.socket_folder(data).glob(".s.PGSQL.*"):
            leftover.unlink()
        postgres.socket_folder(data).rmdir()


def test_a_data_folder_with_spaces_and_quotes_works(tmp_path: Path) -> None:
    data = tmp_path / 'it\'s a "folder" of mine'
    data.mkdir()
    try:
        postgres.start(data, durable=False)
        with connect(data) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        postgres.stop(data)


def test_a_server_that_cannot_start_says_why(data: Path) -> None:
    postgres.start(data, durable=False)
    postgres.stop(data)
    (data / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(postgres.PostgresError, match="could not open file .*pg_control|pg_control"):
        postgres.start(data, durable=False)


def test_whoever_leaves_last_stops_a_shared_server(data: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from config.embedded import postgres\n"
        "with postgres.serving(Path(sys.argv[1])): print('in', flush=True); sys.stdin.readline()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdout.readline() == "in\n"
    with postgres.serving(data):
        other.communicate("\n", timeout=30)
        assert postgres.server_pid(data)
    deadline = time.monotonic() + 10
    while postgres.server_pid(data) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert postgres.server_pid(data) is None
