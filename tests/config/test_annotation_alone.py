"""Collecting needs nothing of training: its own tests pass where that package does not exist."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("annotation", "config", "locale", "static", "templates", "manage.py", "pyproject.toml")
TESTS = ("__init__.py", "annotation", "annotation_alone.py", "conftest.py", "processes.py", "world.py")


@pytest.fixture
def without_training(tmp_path: Path) -> Path:
    """A copy of the product and of annotation's tests, with no training package anywhere on the path."""
    wanted = [*COPIED, *(f"tests/{name}" for name in TESTS if (ROOT / "tests" / name).exists())]
    for name in wanted:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    ours = ("DJANGO_SETTINGS_MODULE", "PLUMBLINE_DATA")  # or it would have our settings and our folder
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment["TEST_SETTINGS"] = "tests.annotation_alone"
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1_200, env=environment)


@pytest.mark.long
@pytest.mark.timeout(1_300)
def test_its_tests_pass_without_training(without_training: Path) -> None:
    assert python(without_training, "-c", "import training").returncode != 0
    done = python(without_training, "-m", "pytest", "-q", "tests/annotation", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    assert "passed" in done.stdout
