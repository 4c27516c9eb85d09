from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config.embedded import processes
from config.embedded.processes import MARK, Processes, Program, end_marked

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    *(sys.executable, "-c"),
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)
PARENT = (sys.executable, "-c", f"import subprocess; subprocess.run({list(SLEEP)!r}, start_new_session=True)")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Processes]:
    said: list[str] = []
    kept = Processes(tmp_path, said.append)
    kept.said = said  # type: ignore[attr-defined]
    yield kept
    kept.stop(hurry=lambda: True)


def marked(data: Path) -> list[psutil.Process]:
    return processes._marked(data)


def wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_stopping_ends_grandchildren_in_sessions_of_their_own_too(kept: Processes) -> None:
    kept.start(Program("parent", PARENT))
    wait(lambda: len(marked(kept.data)) == 2)
    kept.stop()
    assert marked(kept.data) == []


def test_one_that_does_not_listen_is_killed_once_patience_ends(
    kept: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.5)
    kept.start(Program("deaf", STUBBORN))
    wait(lambda: kept.log("deaf").read_text() == "deaf\n")
    started = time.monotonic()
    kept.stop()
    assert 0.5 <= time.monotonic() - started < 10
    assert marked(kept.data) == []


def test_what_a_killed_parent_left_is_found_without_any_note(tmp_path: Path) -> None:
    mine, anothers = (
        subprocess.Popen(SLEEP, env={MARK: str(tmp_path / name)}, start_new_session=True) for name in ("a", "b")
    )
    wait(lambda: len(marked(tmp_path / "a")) == len(marked(tmp_path / "b")) == 1)
    try:
        end_marked(tmp_path / "a")
        assert marked(tmp_path / "a") == []
        assert anothers.poll() is None
    finally:
        mine.wait()
        anothers.kill()
        anothers.wait()


def test_what_keeps_dying_is_started_again_after_ever_longer_pauses(
    kept: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(processes.time, "monotonic", lambda: now)
    starts: list[float] = []
    spawn = kept._spawn
    monkeypatch.setattr(kept, "_spawn", lambda program: (starts.append(now), spawn(program))[1])
    kept.start(Program("flaky", (sys.executable, "-c", "raise SystemExit(3)")))
    for _ in range(40):
        for running in kept._running.values():
            running.process.wait()
        kept.mend()
        now += 0.5
    pauses = [later - earlier for earlier, later in zip(starts, starts[1:], strict=False)]
    assert pauses == [1.0, 2.5, 4.5, 8.5]  # doubled, and noticed at the next look, half a second later
    assert kept.said[0].startswith("flaky ended (exit status 3); starting it again in 1 s. Its log: ")  # type: ignore[attr-defined]


def test_a_program_is_gone_with_the_process_that_started_it(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child of its parent's death")
    code = (
        "import sys, time; from pathlib import Path; from config.embedded.processes import Processes, Program\n"
        f"Processes(Path(sys.argv[1]), print).start(Program('child', {SLEEP!r})); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    wait(lambda: marked(tmp_path) and "time.sleep(600)" in marked(tmp_path)[0].cmdline()[-1])
    time.sleep(0.2)
    parent.kill()
    parent.wait()
    wait(lambda: not marked(tmp_path))


def test_a_log_that_grew_large_is_moved_aside_while_its_writer_goes_on(
    kept: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LARGEST_LOG", 1000)
    code = "import time\nfor n in range(1000): print(f'{n:0100}', flush=True); time.sleep(0.02)"
    kept.start(Program("talker", (sys.executable, "-c", code)))
    log = kept.log("talker")
    wait(lambda: log.exists() and log.stat().st_size > 1000)
    kept.rotate_logs()
    assert log.with_suffix(".log.1").stat().st_size > 1000
    wait(lambda: 0 < log.stat().st_size < 1000 and log.read_text()[0] == "0")
