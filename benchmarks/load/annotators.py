"""Annotators over HTTP, in a process of their own: the plan comes as JSON on stdin, what they saw goes out on stdout.

Each has a connection that is kept open, a session and a CSRF token, as a browser has, and asks again as soon as it is
answered. Only the standard library is used: the fewer cycles the client costs, the truer the server's figures, which
shares its cores.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

Json = dict[str, Any]

TOKEN = "t" * 32  # the same in cookie and header, which is what the check asks; a real one is chance
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
NEXT_KEY = re.compile(r'name="client_key" value="([0-9a-f-]{36})"')
PATIENCE = 120  # seconds


class Answered(Exception):
    """An answer that was not expected."""


@dataclass
class Line:
    """One connection, made anew when the server has closed it."""

    port: int
    headers: str
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", *, kind: str = "application/json") -> bytes:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n{self.headers}\r\n"
        )
        async with asyncio.timeout(PATIENCE):
            for attempt in (1, 2):
                try:
                    return await self._exchange(head.encode() + body)
                except (ConnectionError, asyncio.IncompleteReadError):
                    # A connection kept open may be closed by the server just as it is used again, as browsers know.
                    if attempt == 2 or not await self._close():
                        raise
        raise AssertionError("unreachable")

    async def _exchange(self, request: bytes) -> bytes:
        if self.reader is None or self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**22)
            self.answers = 0
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        content = await self.reader.readexactly(int(length[1])) if length else b""
        self.answers += 1
        status = int(head[9:12])
        if b"\r\nconnection: close" in head.lower():
            await self._close()
        if status >= 300:
            raise Answered(f"{status} {request[:80]!r} {content[:300]!r}")
        return content

    async def _close(self) -> bool:
        """Whether the connection had answered before."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None
        return self.answers > 0


@dataclass
class Annotator:
    line: Line
    slug: str
    dice: random.Random
    took: list[float] = field(default_factory=list)  # seconds, of each cycle in the time that counts
    takes: list[float] = field(default_factory=list)
    submitted: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def day(self, cycle: str, counts_from: float, until: float, most: int) -> None:
        """Cycles until the time is up, the work is done or there were so many."""
        piece: Json | None = None
        while time.monotonic() < until and len(self.submitted) < most:
            try:
                piece = piece or await self.take(counts_from)
                if piece is None:
                    return
                started = time.monotonic()
                following = await getattr(self, cycle)(piece)
                if cycle in ("two_requests", "four_requests"):  # their piece was taken in the same cycle
                    started -= self.took_to_take
                if started >= counts_from:
                    self.took.append(time.monotonic() - started)
                self.submitted.append(piece["id"])
                piece = following
            except (Answered, OSError, EOFError, TimeoutError) as error:
                self.errors.append(f"{type(error).__name__} {error}"[:500])
                piece = None
                if len(self.errors) > 20:
                    return

    async def take(self, counts_from: float = 0.0) -> Json | None:
        started = time.monotonic()
        content = await self.send(f"projects/{self.slug}/queue/take/", {"kinds": ["ranking"]})
        self.took_to_take = time.monotonic() - started
        if started >= counts_from:
            self.takes.append(self.took_to_take)
        return content

    async def one_request(self, piece: Json) -> Json | None:
        """A submit that brings the next piece."""
        answer = await self.submit(piece, take_next=True)
        following: Json | None = answer["next"]
        return following

    async def two_requests(self, piece: Json) -> None:
        await self.submit(piece, take_next=False)

    async def four_requests(self, piece: Json) -> None:
        where = f"assignments/{piece['id']}/"
        await self.send(f"{where}heartbeat/", {})
        await self.send(f"{where}draft/", {"draft": {"note": "not sure yet"}})
        await self.submit(piece, take_next=False)

    async def pages(self, piece: Json) -> Json | None:
        """What the browser does: the page's form is sent, and the page of the next piece is opened."""
        where = f"/assignments/{piece['id']}/"
        page = piece.get("page") or (await self.line.ask("GET", where)).decode()
        ranks = {f"rank_{letter}": str(rank) for rank, letter in enumerate("abcd", start=1)}
        ratings = {f"rating_{letter}": str(self.dice.randint(1, 7)) for letter in "abcd"}
        key = NEXT_KEY.search(page)
        if key is None:
            raise Answered(f"no key in the page of {where}: {page[:200]}")
        sent = urlencode({"client_key": key[1], "seconds": "31.5", "note": ""} | ranks | ratings).encode()
        answer = await self.line.ask("POST", f"{where}submit/", sent, kind="application/x-www-form-urlencoded")
        following = json.loads(answer)["next"]
        if not following.startswith("/assignments/"):
            return None
        return {"id": int(following.split("/")[2]), "page": (await self.line.ask("GET", following)).decode()}

    async def submit(self, piece: Json, *, take_next: bool) -> Json:
        letters = [output["id"] for output in piece["completions"]]
        self.dice.shuffle(letters)
        groups = [[letter] for letter in letters]
        if self.dice.random() < 0.3:
            groups = [letters[:2], *groups[2:]]
        sent = {
            "client_key": str(uuid.UUID(int=self.dice.getrandbits(128), version=4)),
            "groups": groups,
            "ratings": {letter: self.dice.randint(1, 7) for letter in letters},
            "seconds": 31.5,
            "take_next": take_next,
            "kinds": ["ranking"],
        }
        answer = await self.send(f"assignments/{piece['id']}/submit/", sent)
        assert answer is not None
        return answer

    async def send(self, path: str, content: Json) -> Json | None:
        answer = await self.line.ask("POST", f"/api/v1/{path}", json.dumps(content).encode())
        return json.loads(answer) if answer else None


async def work(plan: Json) -> Json:
    annotators = [
        Annotator(Line(plan["port"], headers(session)), plan["slug"], random.Random(f"{plan['seed']} {number}"))
        for number, session in enumerate(plan["sessions"])
    ]
    counts_from = time.monotonic() + plan["warm_up"]
    until = counts_from + plan["seconds"]
    began = time.process_time()
    async with asyncio.TaskGroup() as desks:
        for annotator in annotators:
            desks.create_task(annotator.day(plan["cycle"], counts_from, until, plan["most"]))
    took = [seconds for each in annotators for seconds in each.took]
    return {
        "seconds": min(time.monotonic(), until) - counts_from,
        "processor_seconds": time.process_time() - began,
        "took": took,
        "takes": [seconds for each in annotators for seconds in each.takes],
        "submitted": [pk for each in annotators for pk in each.submitted],
        "errors": [error for each in annotators for error in each.errors],
    }


def headers(session: str) -> str:
    return f"Cookie: sessionid={session}; csrftoken={TOKEN}\r\nX-CSRFToken: {TOKEN}\r\n"


if __name__ == "__main__":
    json.dump(asyncio.run(work(json.load(sys.stdin))), sys.stdout)
