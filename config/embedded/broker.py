"""A message broker made of files under the data folder: kombu's filesystem transport, made safe for many processes.

Kombu's own reads files while they are written. Here a message appears whole, by a rename, and is claimed by a rename.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.transport.filesystem import exchange_queue_t
from kombu.transport.virtual import BrokerState
from kombu.utils.json import dumps, loads

from config.embedded import locks

URL = "plumbline://localhost/"
TRANSPORT_ALIASES["plumbline"] = "config.embedded.broker:Transport"

log = logging.getLogger(__name__)


def transport_options(folder: Path) -> dict[str, Any]:
    """Celery's broker_transport_options for the broker in `folder`, which is made if it lacks."""
    messages, control = folder / "messages", folder / "control"
    for path in (messages, control):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "polling_interval": 0.1,
    }


def recover(folder: Path) -> int:
    """Put back the messages that a killed process had claimed but not yet handed over, and clear what nobody will read.

    To be called while no process uses the broker. Returns how many messages wait.
    """
    options = transport_options(folder)
    for table in Path(options["control_folder"]).glob("*.exchange"):
        table.unlink()
    messages = Path(options["data_folder_in"])
    for path in messages.iterdir():
        if path.name.endswith((".part", "pidbox.msg", "pidbox.msg.claimed")):
            path.unlink()
        elif path.name.endswith(".claimed"):
            path.rename(path.with_name(path.name.removesuffix(".claimed").lstrip(".")))
    return sum(1 for path in messages.iterdir() if path.suffix == ".msg")


class Channel(filesystem.Channel):  # type: ignore[misc]
    """One connection's view. A message is `TIME_ID.QUEUE.msg`; `.part` while written, `.claimed` once taken."""

    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:
        folder = Path(self.data_folder_out)
        name = uuid.uuid4().hex
        draft = folder / f".{name}.part"
        draft.write_text(dumps(payload))
        draft.rename(folder / f"{time.time_ns():020d}_{name}.{queue}.msg")

    def _get(self, queue: str) -> Any:
        folder = Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            claimed = folder / f".{name}.claimed"
            try:
                (folder / name).rename(claimed)
            except FileNotFoundError:  # another process was first
                continue
            try:
                payload = loads(claimed.read_text())
            except ValueError:  # cut short by a power loss or written by someone else
                log.error("%s is no message and was put aside as %s.unreadable", name, name)
                claimed.rename(folder / f"{name}.unreadable")
                continue
            claimed.unlink()
            return payload
        raise Empty

    def get_table(self, exchange: str) -> list[exchange_queue_t]:
        try:
            return [exchange_queue_t(*row) for row in loads(self._exchange_file(exchange).read_text())]
        except FileNotFoundError:
            return []

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        row = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        self._change_table(exchange, lambda table: table if row in table else [row, *table])

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **kwargs: Any) -> None:
        self._purge(queue)
        row = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        self._change_table(exchange, lambda table: [other for other in table if other != row])

    def _change_table(self, exchange: str, change: Callable[[list[exchange_queue_t]], list[exchange_queue_t]]) -> None:
        path: Path = self._exchange_file(exchange)
        with locks.held(path.with_suffix(".lock")):
            before = self.get_table(exchange)
            after = change(before)
            if after != before:
                draft = path.with_suffix(".part")
                draft.write_text(dumps(after))
                draft.rename(path)


class Transport(filesystem.Transport):  # type: ignore[misc]
    Channel = Channel
    driver_type = "plumbline"
    driver_name = "plumbline"

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.state = (
            BrokerState()
        )  # kombu's is one for all folders, and takes a queue bound in one for bound in another
