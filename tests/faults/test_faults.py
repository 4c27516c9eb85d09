"""Faults of every kind on a running installation: nothing that was accepted is lost, and all comes to its end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

A_FEW = ("web worker killed", "training process killed", "PostgreSQL killed", "broker away", "disk full")


def campaign(folder: Path, *arguments: str) -> dict[str, Any]:
    """The outcome of some rounds, whose seed is in what is printed where they fail."""
    figures = folder / "figures.json"
    command = [sys.executable, "-m", "tests.faults", *arguments, "--json", str(figures)]
    done = subprocess.run(command, cwd=settings.BASE_DIR, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-3_000:]
    outcome: dict[str, Any] = json.loads(figures.read_text())
    return outcome


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_few_faults_lose_nothing_and_leave_every_run_its_result(tmp_path: Path) -> None:
    outcome = campaign(tmp_path, "--rounds", str(len(A_FEW)), "--stages", "sft", "--kinds", *A_FEW)
    assert outcome["violations"] == []
    assert sum(row["rounds"] for row in outcome["rows"].values()) == len(A_FEW)
    assert sum(row["accepted"] for row in outcome["rows"].values()) > 10
    assert outcome["ended"]["sft"] >= 1
    assert set(outcome["left_out"]) <= {"disk full"}


@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_faults_of_every_kind_twice_over(tmp_path: Path) -> None:
    outcome = campaign(tmp_path, "--rounds", "24")
    assert outcome["violations"] == []
    assert sum(outcome["ended"].values()) >= 3


@pytest.mark.campaign
@pytest.mark.timeout(7200)
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_a_redis_that_is_killed_or_emptied_loses_nothing_either(tmp_path: Path) -> None:
    kinds = ("broker away", "messages dropped", "default worker killed", "training worker killed")
    outcome = campaign(tmp_path, "--redis", "--rounds", "8", "--kinds", *kinds)
    assert outcome["violations"] == []
    assert sum(outcome["ended"].values()) >= 2
