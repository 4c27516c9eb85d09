"""Tiny models and rows, made once, and the command line as a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


Stage = Callable[..., int]


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


def start(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
    """The command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "training.algorithms", *flags(*arguments, **options)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
