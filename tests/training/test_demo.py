"""The demo command with settings of a test: what it leaves, that it can be repeated, and that it can be killed."""

from __future__ import annotations

import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.core.management import call_command

from annotation.models import Demonstration, Item, ItemKind, Membership, Project, Prompt, Ranking, Role, Split, User
from tests.processes import environment
from training import bootstrap
from training.management.commands import demo
from training.models import Policy, TrainingRun

SIGN_INS = "run/sign_ins.txt"


@pytest.fixture(autouse=True)
def _from_nothing() -> Any:
    remove_starter()
    yield
    remove_starter()


def remove_starter() -> None:
    shutil.rmtree(Path(settings.DATA) / "starter", ignore_errors=True)
    (Path(settings.DATA) / SIGN_INS).unlink(missing_ok=True)


def counts() -> dict[str, int]:
    return {
        "people": User.objects.count(),
        "memberships": Membership.objects.count(),
        "prompts": Prompt.objects.count(),
        "demonstrations": Demonstration.objects.count(),
        "to write": Item.objects.filter(kind=ItemKind.DEMONSTRATION).count(),
        "to rank": Item.objects.filter(kind=ItemKind.RANKING).count(),
        "ranked": Ranking.objects.count(),
        "policies": Policy.objects.count(),
        "runs": TrainingRun.objects.count(),
    }


def assert_complete() -> None:
    found = counts()
    assert found == {
        "people": 3 + demo.ANNOTATORS,
        "memberships": 5 + demo.ANNOTATORS,
        "prompts": sum(demo.PROMPTS.values()) + found["demonstrations"],
        "demonstrations": 48,
        "to write": demo.TO_DEMONSTRATE,
        "to rank": demo.TO_RANK + demo.RANKED,
        "ranked": demo.RANKED,
        "policies": 1,
        "runs": 1,
    }


@pytest.mark.django_db(transaction=True)
def test_it_leaves_a_project_to_try_and_can_be_repeated() -> None:
    call_command("demo", "--preset", "test")
    assert_complete()
    base = Policy.objects.get()
    assert base in Policy.objects.published()
    assert base.texts == "starter/corpus/mix.jsonl"
    assert base.path == "starter/pretrain/model"
    path = Path(settings.DATA) / SIGN_INS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    words = dict(line.split() for line in path.read_text().splitlines())
    assert words.keys() == {"annotator", "admin", "researcher"}
    assert len(set(words.values())) == 3
    for name, word in words.items():
        person = authenticate(username=name, password=word)
        assert person is not None
        assert Project.objects.get().memberships.filter(user_id=person.pk, role=Role(name)).exists()
    assert Prompt.objects.filter(split=Split.TEST).count() == demo.PROMPTS["prompts_held_out"]
    ranked = Item.objects.filter(kind=ItemKind.RANKING)
    assert {item.prompt.split for item in ranked if item.prompt is not None} == {Split.TRAIN, Split.TEST}

    began = time.monotonic()
    call_command("demo", "--preset", "test")
    assert time.monotonic() - began < 5
    assert_complete()
    assert path.read_text().split() == [part for pair in words.items() for part in pair]


@pytest.mark.django_db(transaction=True)
@pytest.mark.long
def test_killed_anywhere_it_goes_on() -> None:
    """Killed after 1, 2, 3 … seconds until it gets through."""
    command = [sys.executable, "manage.py", "demo", "--preset", "test"]
    for patience in range(1, 120):
        process = subprocess.Popen(command, env=environment(), cwd=settings.BASE_DIR)
        try:
            status = process.wait(patience)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            continue
        assert status == 0
        break
    assert_complete()


def test_durations_are_told_in_minutes_and_seconds() -> None:
    assert bootstrap.duration(5.2) == "5 s"
    assert bootstrap.duration(125) == "2 min 05 s"
