"""`python -m training.algorithms.serving`: one model, served on a Unix socket until nobody asks for a while.

A request is a line of JSON on a connection of its own, and what is answered are lines of JSON:

    {"ask": "answer", "messages", "seed", "temperature", "max_new_tokens", "seconds"}
        {"text"} as it is said, then {"prompt", "tokens", "cells", "logprobs", "finished", "cut", "vocabulary"}
    {"ask": "logprobs", "prompt", "tokens", "vocabulary"}     {"logprobs"}: of the same token ids, by another policy
    {"ask": "reward", "messages", "text", "finished"}         {"reward"}: by a reward model
    {"ask": "leave"}                                          {"leaves"}: ends it, unless somebody is being answered

or {"problem"}, which says what is wrong. Exit codes are those of the stages.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from training.algorithms.errors import DONE, USER_CAN_FIX, InputError
from training.algorithms.local_sockets import short_name
from training.algorithms.supervision import Supervision

LOOK_EVERY = 0.2
LONGEST_ANSWER_SECONDS = 300.0
LONGEST_REQUEST = 4_000_000
PATIENCE = 10.0  # with a reader that takes nothing

Answers = Iterator[dict[str, Any]]


class Speaker:
    """A policy. Who is answered at the same time is answered by turns, a token each."""

    def __init__(self, name: str) -> None:
        from training.algorithms.networks import load_policy

        self.policy = load_policy(name).freeze()
        self.turn = threading.Lock()

    def answer(
        self,
        *,
        messages: list[dict[str, str]],
        seed: int,
        temperature: float,
        max_new_tokens: int,
        seconds: float = LONGEST_ANSWER_SECONDS,
    ) -> Answers:
        """It says no more once the seconds are over."""
        from training.algorithms import sampling, speaking
        from training.algorithms.data import Row

        encoder, deadline = self.policy.encoder, time.monotonic() + min(seconds, LONGEST_ANSWER_SECONDS)
        whole = encoder.prompt(messages)
        prompt = speaking.fitted(self.policy, whole, max_new_tokens=max_new_tokens)
        settings = sampling.Settings(max_new_tokens=max_new_tokens, temperature=temperature)
        tokens, pieces = (
            speaking.speak(self.policy, prompt, seed=seed, settings=settings),
            speaking.Pieces(encoder.decode),
        )
        while time.monotonic() < deadline:
            with self.turn:
                token = next(tokens, None)
            if token is None:
                break
            if piece := pieces.add(token):
                yield {"text": piece}
        if piece := pieces.rest():
            yield {"text": piece}
        said = pieces.tokens
        with self.turn:
            logprobs = speaking.logprobs(self.policy, Row(prompt, said)) if said else []
        yield {
            "prompt": prompt,
            "tokens": said,
            "cells": [dataclasses.asdict(cell) for cell in speaking.cells(encoder.decode, said)],
            "logprobs": logprobs,
            "finished": said[-1:] == [encoder.eos],
            "cut": len(whole) - len(prompt),
            "vocabulary": speaking.vocabulary(self.policy),
        }

    def logprobs(self, *, prompt: list[int], tokens: list[int], vocabulary: str) -> Answers:
        from training.algorithms import speaking
        from training.algorithms.data import Row

        if vocabulary != speaking.vocabulary(self.policy):
            raise InputError("The two policies have different vocabularies. Compare policies of the same base.")
        with self.turn:
            yield {"logprobs": speaking.logprobs(self.policy, Row(prompt, tokens)) if tokens else []}


class Judge:
    """A reward model."""

    def __init__(self, name: str) -> None:
        from training.algorithms.networks import load_reward_model

        self.scorer = load_reward_model(name).freeze()
        self.turn = threading.Lock()

    def reward(self, *, messages: list[dict[str, str]], text: str, finished: bool) -> Answers:
        """Of the text as people's outputs are scored: written as token ids by its own tokenizer."""
        from training.algorithms import speaking
        from training.algorithms.data import Row

        encoder = self.scorer.encoder
        row = Row(encoder.prompt(messages), encoder.completion(text, ended=finished))
        if not row.completion:
            raise InputError("There is no text to score.")
        with self.turn:
            yield {"reward": speaking.reward(self.scorer, row)}


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, asks: dict[str, Callable[..., Answers]]) -> None:
        self.path, self.asks = path, asks
        self.asked_at, self.busy, self.leaves = time.monotonic(), 0, False
        self._counting = threading.Lock()
        draft = path.with_suffix(".part")  # whoever sees the socket can connect to it
        draft.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            with short_name(draft) as name:
                super().__init__(name, Connection)
        finally:
            os.umask(before)
        draft.replace(path)  # also of one that was killed: whoever starts us sees to it that none lives

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Counts as asked for within the block; the socket's time of change tells others when that was last."""
        with self._counting:
            self.busy += 1
        try:
            yield
        finally:
            with self._counting:
                self.busy, self.asked_at = self.busy - 1, time.monotonic()
            with suppress(OSError):
                os.utime(self.path)

    def leave(self) -> Answers:
        with self._counting:
            self.leaves = self.leaves or not self.busy
        yield {"leaves": self.leaves}

    def is_idle(self, seconds: float) -> bool:
        with self._counting:
            return not self.busy and time.monotonic() - self.asked_at > seconds


class Connection(socketserver.StreamRequestHandler):
    server: Server
    timeout = PATIENCE

    def handle(self) -> None:
        with suppress(OSError):  # whoever asked is gone
            try:
                request = json.loads(self.rfile.readline(LONGEST_REQUEST))
                name = request.pop("ask")
                if name == "leave":
                    return self._tell(self.server.leave())
                with self.server.at_work():
                    self._tell(self.server.asks[name](**request))
            except InputError as error:
                self._tell(iter([{"problem": str(error)}]))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self._tell(iter([{"problem": f"This request is not understood ({type(error).__name__}: {error})."}]))

    def _tell(self, answers: Answers) -> None:
        for answer in answers:
            self.wfile.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until idle, asked to leave, or alone; the exit code."""
    arguments = parser().parse_args(argv)
    supervision = Supervision(arguments.supervisor)
    try:
        if arguments.policy:
            speaker = Speaker(arguments.policy)
            asks: dict[str, Callable[..., Answers]] = {"answer": speaker.answer, "logprobs": speaker.logprobs}
        else:
            asks = {"reward": Judge(arguments.reward_model).reward}
    except InputError as error:
        print(error, file=sys.stderr, flush=True)
        return USER_CAN_FIX
    server = Server(arguments.socket, asks)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while not (supervision.should_stop() or server.leaves or server.is_idle(arguments.idle)):
        time.sleep(LOOK_EVERY)
    arguments.socket.unlink(missing_ok=True)
    return DONE


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m training.algorithms.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model = made.add_mutually_exclusive_group(required=True)
    model.add_argument("--policy", help="model folder or hub name")
    model.add_argument("--reward-model", help="the reward model's folder")
    made.add_argument("--socket", type=Path, required=True, help="where to listen; for the user who starts it alone")
    made.add_argument("--idle", type=float, default=600, metavar="SECONDS", help="end when nobody asked for so long")
    made.add_argument("--supervisor", type=int, metavar="PID", help="end once this process is gone")
    return made


def _end(code: int) -> NoReturn:
    """At once, whoever is being answered; the libraries would take a second to tidy up after themselves."""
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    _end(main())
