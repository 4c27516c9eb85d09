"""Talking to real models: real worker, real processes, real HTTP."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from django.db import connections

from tests.algorithms.taught import CHINESE
from tests.processes import wait_for, web, worker

if TYPE_CHECKING:
    from tests.training.playground.scene import Scene

CSRF = "a" * 32  # a form and a cookie that say the same


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    from tests.training.playground.scene import build_scene

    return build_scene()


def served() -> list[psutil.Process]:
    """The processes that serve models for this test run."""
    from training.playground import places

    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "training.algorithms.serving" in command and str(places.folder()) in " ".join(command):
            found.append(process)
    return found


@pytest.mark.timeout(900)
def test_two_policies_answer_side_by_side_and_end_with_their_worker(scene: Scene) -> None:
    from tests.training.playground.scene import QUESTION, lines
    from training.algorithms import speaking
    from training.algorithms.data import Row
    from training.algorithms.networks import load_policy, load_reward_model
    from training.playground.answering import Answer, Asked, answer

    client = scene.client()
    with worker(queues="default", threads=4) as process:
        both = scene.form(second=scene.sft.pk)
        first = lines(client.post(scene.address("answer/"), both | {"side": "first"}))
        second = lines(client.post(scene.address("answer/"), both | {"side": "second"}))
        assert "".join(line.get("text", "") for line in first) == CHINESE
        assert not any("\ufffd" in line.get("text", "") for line in first)
        assert "KL to SFT" in first[-1]["html"]
        assert "by judge" in first[-1]["html"]
        assert "KL to SFT" not in second[-1]["html"]
        assert len(served()) == 3  # a policy, its SFT and the reward model: one for each folder
        whole = client.post(scene.address(), both).content.decode()
        assert whole.count('name="answer"') == 2
        assert CHINESE in whole
        assert len(served()) == 3

        asked = Asked([{"role": "user", "content": QUESTION}], temperature=0, max_new_tokens=120, seed=1)
        *_pieces, found = answer(scene.policy, asked, judge=scene.judge)
        assert isinstance(found, Answer)
        policy, sft = (load_policy(each.location).freeze() for each in (scene.policy, scene.sft))
        row = Row(policy.encoder.prompt(asked.messages), policy.encoder.completion(CHINESE))
        own, before = sum(speaking.logprobs(policy, row)), sum(speaking.logprobs(sft, row))
        assert found.logprob == pytest.approx(own, abs=1e-3)
        assert found.kl == pytest.approx(own - before, abs=1e-3)
        assert found.reward == pytest.approx(
            speaking.reward(load_reward_model(scene.judge.location).freeze(), row), abs=1e-4
        )
        process.kill()
        process.wait()
        wait_for(lambda: not served(), seconds=60)


@pytest.mark.timeout(900)
def test_nothing_is_left_when_the_web_server_is_killed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_IDLE_SECONDS", "3")
    session = scene.client().cookies["sessionid"].value
    with worker(queues="default", threads=4), web() as server:
        cookies = {"sessionid": session, "csrftoken": CSRF}
        with httpx.Client(base_url=server, cookies=cookies, timeout=300) as browser:
            form = scene.form(side="first", judge="", csrfmiddlewaretoken=CSRF)
            with browser.stream("POST", scene.address("answer/"), data=form) as answer:
                assert answer.headers["content-type"] == "application/x-ndjson"
                assert any("text" in json.loads(line) for line in answer.iter_lines())  # the first piece is here
                assert served()
                for process in web_servers():
                    process.kill()
        wait_for(lambda: not served(), seconds=90)
    connections.close_all()


def web_servers() -> list[psutil.Process]:
    mine = psutil.Process().children(recursive=True)
    return [each for each in mine if "gunicorn" in " ".join(each.cmdline())]


@pytest.mark.timeout(900)
def test_the_model_that_was_idle_longest_makes_room(scene: Scene, settings: Any) -> None:
    from training.playground import client, places, starting

    settings.PLAYGROUND_MODELS = 1
    sft, judge = places.place_of(scene.sft), places.place_of(scene.judge)
    starting.start(scene.sft)
    wait_for(sft.socket.exists, seconds=240)
    before = [process.pid for process in served()]
    starting.start(scene.sft)
    assert [process.pid for process in served()] == before  # one for a folder, however often it is asked for
    starting.start(scene.judge)
    wait_for(judge.socket.exists, seconds=240)
    assert not sft.is_alive()
    assert client.leaves(judge)
    wait_for(lambda: not judge.is_alive(), seconds=60)

    with places.held_or_not(sft.lock):  # as if it were being asked, and does not leave
        starting.start(scene.judge)
    problem = judge.problem()
    assert problem is not None
    assert problem[1] == {"kind": "full", "models": 1}


@pytest.mark.timeout(900)
def test_a_model_that_cannot_be_served_says_why(scene: Scene, tmp_path: Path) -> None:
    from training.models import Policy
    from training.playground import client, places, starting

    Policy.objects.filter(pk=scene.sft.pk).update(path=str(tmp_path / "gone"))
    scene.sft.refresh_from_db()
    starting.start(scene.sft)
    place = places.place_of(scene.sft)
    problem: Any = wait_for(place.problem, seconds=240)
    assert problem[1]["code"] == 2
    assert "There is no model folder" in client._told(problem[1], scene.sft)
    assert stat_of(places.folder()) == 0o700
    wait_for(lambda: not served(), seconds=60)


def stat_of(path: Path) -> int:
    return os.stat(path).st_mode & 0o777
