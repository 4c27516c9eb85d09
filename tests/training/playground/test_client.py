"""The web's side of talking to a model, where its process is no model at all."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest

from tests.world import make_world
from training import registry
from training.algorithms.local_sockets import short_name
from training.models import Policy
from training.playground import client, places


@pytest.fixture
def policy(db: Any) -> Policy:
    return registry.register_policy(make_world().project, name="elsewhere", source="nobody/nothing")


@contextmanager
def served(policy: Policy, said: bytes) -> Iterator[None]:
    """A process that says so much to whoever asks, and is gone."""
    place = places.place_of(policy)
    with socket.socket(socket.AF_UNIX) as listening:
        with short_name(place.socket) as name:
            listening.bind(name)
        listening.listen()

        def answer() -> None:
            connection, _address = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(said)

        thread = Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            thread.join()
            place.socket.unlink()


def test_a_process_that_ends_in_the_middle_of_a_line_has_ended(policy: Policy) -> None:
    with served(policy, b'{"text": "Once "}\n{"text": "up'):
        lines = client.ask(policy, {"ask": "answer"}, seconds=5)
        assert next(iter(lines)) == {"text": "Once "}
        with pytest.raises(client.Unavailable, match="ended while it answered"):
            next(iter(lines))
