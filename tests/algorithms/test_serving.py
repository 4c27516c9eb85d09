"""A model served by a process of its own: real process, real socket, real tiny models."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.algorithms import taught, tiny
from tests.algorithms.conftest import ROOT
from training.algorithms import speaking
from training.algorithms.data import Row
from training.algorithms.local_sockets import short_name
from training.algorithms.networks import load_policy
from training.algorithms.serving import Answers, Server, Speaker

ASKED = [{"role": "user", "content": "one dog"}]
ANSWER = {"ask": "answer", "messages": ASKED, "seed": 1, "temperature": 0, "max_new_tokens": 120}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("served")
    base = tiny.build("llama", root / "base")
    return {
        "base": base,
        "taught": taught.teach(base, root / "taught"),
        "judge": taught.judge(base, root / "judge"),
        "other": tiny.build("gpt2", root / "other"),
    }


Serve = Callable[..., "Served"]


def connected(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    with short_name(path) as name:
        made.connect(name)
    made.settimeout(60)
    return made


def asked(path: Path, request: dict[str, Any]) -> list[dict[str, Any]]:
    with connected(path) as connection:
        connection.sendall(json.dumps(request).encode() + b"\n")
        return [json.loads(line) for line in connection.makefile()]


class Served:
    """A model's process; ask() gives the lines of its answer."""

    def __init__(self, path: Path, *arguments: str) -> None:
        self.path = path
        command = [sys.executable, "-m", "training.algorithms.serving", "--socket", str(path), *arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
        )

    def said(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def wait_until_it_answers(self) -> Served:
        deadline = time.monotonic() + 240
        while not self.path.exists():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self

    def ask(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        return asked(self.path, request)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    started: list[Served] = []

    def begin(*arguments: str, path: Path = tmp_path / "model.sock") -> Served:
        started.append(Served(path, *arguments))
        return started[-1]

    yield begin
    for served in started:
        served.process.kill()
        served.process.wait()
        assert served.process.stderr is not None
        served.process.stderr.close()


def test_an_answer_comes_in_pieces_that_are_the_whole_text(serve: Serve, models: dict[str, Path]) -> None:
    served = serve("--policy", str(models["taught"])).wait_until_it_answers()
    *pieces, end = served.ask(ANSWER)
    assert "".join(each["text"] for each in pieces) == taught.CHINESE
    assert len(pieces) > 10
    assert not any(speaking.UNFINISHED in each["text"] for each in pieces)
    assert "".join(cell["text"] for cell in end["cells"]) == taught.CHINESE
    assert end["finished"] is True
    assert end["cut"] == 0
    policy = load_policy(str(models["taught"])).freeze()
    assert end["prompt"] == policy.encoder.prompt(ASKED)
    assert end["tokens"] == policy.encoder.completion(taught.CHINESE)
    wanted = speaking.logprobs(policy, Row(end["prompt"], end["tokens"]))
    assert end["logprobs"] == pytest.approx(wanted, abs=1e-5)


def test_another_policy_judges_the_same_token_ids_and_one_with_another_vocabulary_refuses(
    serve: Serve, models: dict[str, Path], tmp_path: Path
) -> None:
    base = load_policy(str(models["base"])).freeze()
    row = Row(base.encoder.prompt(ASKED), base.encoder.completion("good cat"))
    request = {
        "ask": "logprobs",
        "prompt": row.prompt,
        "tokens": row.completion,
        "vocabulary": speaking.vocabulary(base),
    }
    served = serve("--policy", str(models["base"])).wait_until_it_answers()
    [found] = served.ask(request)
    assert found["logprobs"] == pytest.approx(speaking.logprobs(base, row), abs=1e-5)
    other = serve("--policy", str(models["other"]), path=tmp_path / "other.sock").wait_until_it_answers()
    [refusal] = other.ask(request)
    assert "different vocabularies" in refusal["problem"]


def test_a_reward_model_scores_on_a_socket_for_its_owner_alone_however_long_its_path(
    serve: Serve, models: dict[str, Path], tmp_path: Path
) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    served = serve("--reward-model", str(models["judge"]), path=deep / "model.sock").wait_until_it_answers()
    assert stat.S_IMODE(served.path.stat().st_mode) == 0o600
    request = {"ask": "reward", "messages": ASKED, "text": "good cat", "finished": True}
    [first], [second] = served.ask(request), served.ask(request | {"text": "bad"})
    assert first["reward"] != second["reward"]
    [refusal] = served.ask(ANSWER)
    assert "not understood" in refusal["problem"]


def test_two_are_answered_by_turns(models: dict[str, Path]) -> None:
    speaker = Speaker(str(models["taught"]))
    request = {name: value for name, value in ANSWER.items() if name != "ask"}
    first = speaker.answer(**request)
    assert next(first) == {"text": "中"}
    *_pieces, end = speaker.answer(**request | {"max_new_tokens": 3})  # while the first goes on
    assert len(end["tokens"]) == 3
    assert list(first)[-1]["finished"]


def test_it_ends_when_nobody_asks(serve: Serve, models: dict[str, Path]) -> None:
    served = serve("--policy", str(models["base"]), "--idle", "1").wait_until_it_answers()
    assert served.process.wait(60) == 0
    assert not served.path.exists()


def listening(path: Path, **asks: Callable[..., Answers]) -> Server:
    server = Server(path, asks)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_it_leaves_when_asked_to_but_not_while_it_answers(tmp_path: Path) -> None:
    going_on = threading.Event()

    def slow() -> Answers:
        yield {"text": "a"}
        going_on.wait(60)
        yield {"text": "b"}

    with listening(tmp_path / "a.sock", slow=slow) as server:
        with connected(server.path) as busy:
            busy.sendall(b'{"ask": "slow"}\n')
            lines = busy.makefile()
            lines.readline()
            assert asked(server.path, {"ask": "leave"}) == [{"leaves": False}]
            assert not server.is_idle(0)
            going_on.set()
            assert lines.readlines() == ['{"text": "b"}\n']
        assert asked(server.path, {"ask": "leave"}) == [{"leaves": True}]
        assert server.is_idle(0)
        assert not server.is_idle(100)
        server.shutdown()


def test_it_stops_speaking_when_whoever_asked_is_gone(tmp_path: Path) -> None:
    stopped = threading.Event()

    def endless() -> Answers:
        try:
            while True:
                yield {"text": "a"}
        finally:
            stopped.set()

    with listening(tmp_path / "a.sock", endless=endless) as server:
        with connected(server.path) as gone:
            gone.sendall(b'{"ask": "endless"}\n')
            gone.recv(1)
            assert not stopped.is_set()
        assert stopped.wait(30)
        server.shutdown()


def test_it_says_no_more_once_time_is_up(models: dict[str, Path]) -> None:
    request = {name: value for name, value in ANSWER.items() if name != "ask"}
    [end] = Speaker(str(models["taught"])).answer(**request, seconds=0)
    assert end["tokens"] == end["cells"] == end["logprobs"] == []


def test_it_ends_when_its_supervisor_is_killed(serve: Serve, models: dict[str, Path]) -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    served = serve("--policy", str(models["base"]), "--supervisor", str(supervisor.pid)).wait_until_it_answers()
    assert served.ask(ANSWER)
    supervisor.kill()
    supervisor.wait()
    assert served.process.wait(10) == 0
    assert not served.path.exists()


def test_what_is_no_policy_is_told_with_an_exit_code(serve: Serve, models: dict[str, Path]) -> None:
    served = serve("--policy", str(models["judge"]))
    assert served.process.wait(240) == 2
    assert "Give a model that writes text" in served.said()
