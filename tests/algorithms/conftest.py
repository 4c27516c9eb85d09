"""Tiny models and rows, made once, and the command line as a real process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.algorithms import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model folder for each family. Read only."""
    root = tmp_path_factory.mktemp("models")
    return {family: tiny.build(family, root / family) for family in tiny.FAMILIES}


@pytest.fixture(params=tiny.FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def base(family: str, folders: dict[str, Path]) -> str:
    return str(folders[family])


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return tiny.corpus(tmp_path_factory.mktemp("rows"))


Runs = dict[str, dict[str, Any]]
Stage = Callable[..., int]


@pytest.fixture(scope="session")
def runs(folders: dict[str, Path], files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """What one process learns in a few steps, and several together."""
    judge = tmp_path_factory.mktemp("reward_model")
    base = folders["llama"]
    assert start("reward_model", base=base, rankings=files["rankings"], out=judge).wait() == 0
    return {
        # The last batch of an epoch of 12 has one row: a share without rows is a share too.
        "sft": {"base": base, "demonstrations": files["demonstrations"], "held_out": files["held-out"],
                "pretraining": files["texts"], "set": ["batch_size=11", "epochs=3", "pretraining_share=0"]},
        "reward_model": {"base": base, "rankings": files["rankings"], "held_out": files["rankings"],
                         "demonstrations": files["demonstrations"], "set": ["batch_size=5"]},
        "dpo": {"policy": base, "rankings": files["rankings"], "held_out": files["rankings"],
                "set": ["batch_size=5", "warmup_steps=0"]},
        "ppo": {"policy": base, "reward_model": judge / "model", "prompts": files["prompts"],
                "pretraining": files["texts"],
                "set": ["batch_size=12", "total_episodes=12", "minibatch_size=4", "num_ppo_epochs=1",
                        "ptx_batch_size=3"]},
    }  # fmt: skip


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The command line, in this process: stage("sft", base=…, out=…, set=[…]) → exit code."""
    from training.algorithms import __main__, supervision

    # Signal handlers and the watching thread belong to a process of their own; tests of those start one.
    monkeypatch.setattr(supervision.Supervision, "__init__", lambda self, supervisor=None: None)
    monkeypatch.setattr(supervision.Supervision, "should_stop", lambda self: False)
    return lambda *arguments, **options: __main__.main(flags(*arguments, **options))


def flags(stage: str, **options: Any) -> list[str]:
    given = [stage, "--preset", options.pop("preset", "test")]
    for value in options.pop("set", []):
        given += ["--set", value]
    for name, value in options.items():
        given += [f"--{name.replace('_', '-')}", str(value)]
    return given


class Forked:
    """The command line in a child of this process, which has everything imported: a new one would take seconds."""

    def __init__(self, arguments: list[str], *, before: Callable[[], None] = lambda: None, **environment: str) -> None:
        from training.algorithms.__main__ import main

        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            os.environ.update(environment)
            try:
                with open(os.devnull, "w") as nothing:
                    os.dup2(nothing.fileno(), 1)
                    before()
                    code = main(arguments)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self) -> int:
        """The exit code; minus the signal that ended it."""
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


def start(*arguments: Any, before: Callable[[], None] = lambda: None, **options: Any) -> Forked:
    """Begin a stage in a process of its own, where `before` is called first."""
    return Forked(flags(*arguments, **options), before=before)


def start_two(
    *arguments: Any,
    environment: dict[str, str] | None = None,
    before: Callable[[], None] = lambda: None,
    **options: Any,
) -> list[Forked]:
    """Begin a stage in two processes that share it, as a launcher would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {**(environment or {}), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    given = flags(*arguments, **options)
    return [Forked(given, before=before, RANK=str(rank), LOCAL_RANK=str(rank), **meeting) for rank in range(2)]


def fresh(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a stage as a shell would, in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-m", "training.algorithms", *flags(*arguments, **options)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
