"""Simulated annotators over HTTP. A request whose answer was lost is sent again, word for word, until one comes."""

from __future__ import annotations

import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

PAUSE = (0.05, 0.4)
WORK = "projects/capitals/queue/take/"


@dataclass
class Piece:
    """What somebody sent in, and whether an answer said that it is in."""

    assignment: int
    kind: str
    client_key: str
    content: dict[str, Any]
    sent: int = 0
    accepted: bool = False


@dataclass
class Ledger:
    """What all people did, in the order in which they did it."""

    pieces: list[Piece] = field(default_factory=list)
    repeated: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece.accepted]


class Client:
    """One person's sign-in by token."""

    def __init__(self, address: str, token: str, ledger: Ledger, *, until: threading.Event) -> None:
        self.address, self.ledger, self.until = address, ledger, until
        self.headers = {"Authorization": f"Bearer {token}", "Host": "localhost"}
        self._http: httpx.Client | None = None

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response | None:
        """The first answer that is none of the server's own failures; None if the day ended before there was one."""
        while True:
            try:
                answer = self._connected().post(path, json=body)
                if answer.status_code < 500:
                    return answer
            except httpx.HTTPError:
                self.close()
            if self.until.is_set():
                return None
            self.ledger.repeated += 1
            time.sleep(0.1)

    def _connected(self) -> httpx.Client:
        if self._http is None:
            self._http = httpx.Client(base_url=f"{self.address}/api/v1/", headers=self.headers, timeout=30)
        return self._http

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None


class Annotator(threading.Thread):
    """Takes a piece, thinks, submits it, takes the next one. Stops after a submit, never in one."""

    def __init__(self, client: Client, *, seed: int, day_ends: threading.Event) -> None:
        super().__init__(daemon=True)
        self.client, self.chance, self.day_ends = client, random.Random(seed), day_ends
        self.broke: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.day_ends.is_set() and not self.client.until.is_set():
                self._work()
        except BaseException as error:
            self.broke = error
            raise
        finally:
            self.client.close()

    def _work(self) -> None:
        taken = self.client.post(WORK, {})
        if taken is None or taken.status_code == 204:
            time.sleep(0.3)
            return
        if taken.status_code != 200:
            self.client.ledger.wrong.append(f"taking was answered {taken.status_code}: {taken.text[:300]}")
            return
        time.sleep(self.chance.uniform(*PAUSE))
        self._submit(taken.json())

    def _submit(self, shown: dict[str, Any]) -> None:
        content = self._content(shown)
        piece = Piece(shown["id"], shown["kind"], str(uuid.UUID(int=self.chance.getrandbits(128))), content)
        self.client.ledger.pieces.append(piece)
        body = {"client_key": piece.client_key, **content}
        answer = self.client.post(f"assignments/{piece.assignment}/submit/", body)
        if answer is None:
            return
        if answer.status_code == 200:
            piece.accepted = True
        else:
            self.client.ledger.wrong.append(
                f"submitting {piece.kind} {piece.assignment} was answered {answer.status_code}: {answer.text[:300]}"
            )

    def _content(self, shown: dict[str, Any]) -> dict[str, Any]:
        said = f"{self.chance.choice(['a cat', 'a dog', 'a bird'])} {self.chance.getrandbits(40):x}"
        match shown["kind"]:
            case "instruction":
                message = {"role": "user", "content": f"Tell me of {said}"}
                return {"messages": [message], "kind": "plain", "use_case": "open_qa", "language": "en"}
            case "demonstration":
                return {"text": said}
        order = [output["id"] for output in shown["completions"]]
        self.chance.shuffle(order)
        return {"groups": [[letter] for letter in order], "note": said}
