"""`manage.py simulate` as a person starts it, in a data folder of its own, small enough for minutes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from config.embedded.processes import MARK
from training.starter import corpus

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

PLAN = {
    "instructions": 240,
    "demonstrations": 8,
    "rankings": 40,
    "rankings_later": 20,
    "rankings_at_last": 10,
    "ranked_by_several": 6,
    "held_out_prompts": 12,
    "best_of": 2,
    "temperatures": [0.5],
    "hyperparameters": {"ppo": {"total_episodes": 128}},
}
STAGES = {"freeze", "sft", "reward_model", "ppo", "evaluate", "publish", "sample", "overhead"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose starter model is there already, and has hardly learnt anything."""
    folder = tmp_path / "data"
    corpus.write(folder / "starter" / "corpus")
    subprocess.run(
        [
            *(sys.executable, "-m", "training.algorithms", "pretrain", "--preset", "starter", "--set", "max_steps=40"),
            *("--texts", str(folder / "starter/corpus/texts.jsonl"), "--out", str(folder / "starter/pretrain")),
        ],
        cwd=settings.BASE_DIR, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return folder


def simulate(data: Path, *arguments: str) -> subprocess.Popen[str]:
    plan = data.with_name("plan.json")
    plan.write_text(json.dumps(PLAN))
    others = ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY")
    inherited = {name: value for name, value in os.environ.items() if name not in others}
    return subprocess.Popen(
        [sys.executable, "manage.py", "simulate", "--plan", str(plan), *arguments],
        cwd=settings.BASE_DIR, env=inherited | {"PLUMBLINE_DATA": str(data)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def survivors(data: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(data) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_a_study_of_two_rounds_reports_all_that_is_asked_of_it(data: Path) -> None:
    out = data.with_name("out.json")
    process = simulate(data, "--rounds", "2", "--annotators", "4", "--seed", "3", "--json", str(out))
    said, _ = process.communicate()

    assert process.returncode == 0, said
    assert survivors(data) == []
    report = json.loads(out.read_text())
    assert report["seed"] == 3
    first, second = report["rounds"]
    assert first["round"] == 1
    assert second["rankings"] > first["rankings"] >= 40
    for entry in report["rounds"]:
        assert {name: found["n"] for name, found in entry["gold"].items()} == {"base": 24, "sft": 24, "ppo": 24}
        assert all(0 <= found["low"] <= found["mean"] <= found["high"] <= 1 for found in entry["gold"].values())
        assert entry["gold_of_other_roads"].keys() == {"sft_at_0.5", "ppo_at_0.5", "sft_best_of_2"}
        assert 0 < entry["annotator_agreement"] <= 1
        assert 0 < entry["reward_accuracy"] <= 1
        assert entry["held_out_rankings"] > 0
        assert entry["win_rate_ppo_over_sft"]["n"] == 12
        assert entry["mean_length"].keys() == {"base", "sft", "ppo"}
        assert {f"round: {stage}" for stage in STAGES} < entry["seconds"].keys()
        assert 0 < entry["overhead_seconds"] < entry["seconds"]["round"]
    assert "round 2: gold base" in said


def test_a_study_that_is_stopped_says_so_and_leaves_nothing_running(data: Path) -> None:
    process = simulate(data)
    assert process.stdout is not None
    while "people" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate()

    assert process.returncode == 1
    assert "Stopped before the study was over" in said
    assert survivors(data) == []


def test_a_plan_with_a_field_that_plans_lack_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "wrong.json"
    plan.write_text('{"ranking": 5}')
    process = simulate(tmp_path / "data", "--plan", str(plan))
    said, _ = process.communicate()

    assert process.returncode == 1
    assert "has ranking, which a plan does not have" in said
