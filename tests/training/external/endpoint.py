"""A real HTTP server on loopback that speaks the chat completions API, as well or as badly as it is told to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from threading import Thread
from typing import Any

KEY = "sk-secret-0123456789"


class Handler(BaseHTTPRequestHandler):
    """Notes what is asked and leaves the rest to `behave`."""

    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(Asked(self.path, dict(self.headers), json.loads(body)))
        try:
            self.server.behave(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST

    @property
    def question(self) -> Asked:
        return self.server.asked[-1]

    def say(self, content: Any, *, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Nothing is printed."""


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    content: dict[str, Any]

    @property
    def text(self) -> str:
        text: str = self.content["messages"][-1]["content"]
        return text


class Server(ThreadingHTTPServer):
    daemon_threads = True
    asked: list[Asked]
    behave: Callable[[Handler], None]


@dataclass
class Endpoint:
    server: Server
    scheme: str = "http"
    asked: list[Asked] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"

    def behave(self, how: Callable[[Handler], None]) -> None:
        self.server.behave = how

    @property
    def questions(self) -> list[str]:
        """What it was asked, without the first call that shows whether it answers."""
        return [each.text for each in self.asked if each.text != "Say hello."]


@contextmanager
def endpoint(how: Callable[[Handler], None] | None = None, *, tls: SSLContext | None = None) -> Iterator[Endpoint]:
    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    made = Endpoint(server, "https" if tls else "http")
    server.asked, server.behave = made.asked, how or answers
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()


def completion(text: Any, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    about = {"id": "chatcmpl-1", "object": "chat.completion", "model": "tiny-2026-11", "system_fingerprint": "fp_7"}
    return {**about, "choices": [choice], "usage": {"completion_tokens": 5, "prompt_tokens": 9}, **more}


def answers(handler: Handler) -> None:
    """As it should: another text for each question and seed."""
    question = handler.question
    model, seed = question.content["model"], question.content.get("seed")
    handler.say(completion(f"An answer to {question.text!r} by {model} with seed {seed}."))


def says(content: Any, *, status: int = 200, **headers: str) -> Callable[[Handler], None]:
    return lambda handler: handler.say(content, status=status, **headers)


def sends_elsewhere(to: str) -> Callable[[Handler], None]:
    return lambda handler: handler.say({}, status=302, Location=to)


def never_ends(handler: Handler) -> None:
    """As many bytes as anybody takes, and no word of how many."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"[" * 65_536)


def drips(handler: Handler) -> None:
    """A byte now and then: no single wait is long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def drips_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.05)
