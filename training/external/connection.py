"""One POST of JSON to an address that was looked at, within a time and a size, and nowhere else.

The standard library's client does what is needed and no more: it follows no redirect, asks no proxy, reads no
environment, keeps no cookie and unpacks nothing.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Timer
from typing import Any

import httpx

from training.external.addresses import Target
from training.external.problems import EndpointError, Problem

CONNECT_SECONDS = 10.0
SECONDS = 120.0  # from the connection to the last byte, however slowly these come
MOST_BYTES = 2_000_000


@dataclass(frozen=True)
class Reply:
    """`content` is None where the body is not JSON."""

    status: int
    content: Any
    wait: float


def post(target: Target, content: dict[str, Any], *, key: str) -> Reply:
    """What the endpoint replied, with whatever status; EndpointError where it did not."""
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "Plumbline"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    cut = Event()
    try:
        with _connected(target) as (stream, begin), _cut_off(stream, cut):
            begin()
            client = http.client.HTTPConnection(target.host, target.port)
            client.default_port = 443 if target.scheme == "https" else 80
            client.sock = stream
            client.request("POST", f"{target.path}/chat/completions", json.dumps(content).encode(), headers)
            reply = client.getresponse()
            room = bytearray(MOST_BYTES + 1)  # `read` goes on for ever where a chunk says that it is of -1 bytes
            body = bytes(room[: reply.readinto(room)])
            wait = _seconds(reply.getheader("Retry-After", ""))
    except (OSError, http.client.HTTPException) as error:
        if cut.is_set() or isinstance(error, TimeoutError):
            raise EndpointError(Problem.TOO_SLOW, f"{SECONDS:g}") from None
        if isinstance(error, ssl.SSLCertVerificationError):
            raise EndpointError(Problem.NOT_TRUSTED, error.verify_message) from None
        raise EndpointError(Problem.NOT_REACHED, type(error).__name__) from None
    if cut.is_set():
        raise EndpointError(Problem.TOO_SLOW, f"{SECONDS:g}")
    if len(body) > MOST_BYTES:
        raise EndpointError(Problem.TOO_LARGE, MOST_BYTES)
    return Reply(reply.status, _json(body), wait)


@contextmanager
def _connected(target: Target) -> Iterator[tuple[socket.socket, Any]]:
    """A stream to the address, and what begins its encryption: for the host's name, and not the address."""
    with socket.create_connection((target.address, target.port), timeout=CONNECT_SECONDS) as plain:
        plain.settimeout(SECONDS)
        if target.scheme != "https":
            yield plain, lambda: None
            return
        context = httpx.create_ssl_context()  # the roots of certifi, or those that SSL_CERT_FILE names
        with context.wrap_socket(plain, server_hostname=target.host, do_handshake_on_connect=False) as stream:
            yield stream, stream.do_handshake


@contextmanager
def _cut_off(stream: socket.socket, cut: Event) -> Iterator[None]:
    """Ends whatever waits on the stream when the time is up: a timeout of each read would let a drip go on for ever."""

    def end() -> None:
        cut.set()
        try:
            socket.socket.shutdown(stream, socket.SHUT_RDWR)
        except OSError:  # it has ended by itself
            return

    timer = Timer(SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _seconds(text: str) -> float:
    """A Retry-After in seconds; dates are not understood, and more than an hour is not waited."""
    return min(float(text), 3_600.0) if text.isascii() and text.isdecimal() and len(text) < 9 else 0.0
