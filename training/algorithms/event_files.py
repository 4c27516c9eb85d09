"""A run's metrics as `tensorboard --logdir` reads them: one event file, which holds each step once.

The file is a row of TFRecords (length, its checksum, an event, its checksum), each event a protocol buffer of
TensorFlow's event.proto. Of that a curve takes five fields, so they are written here: TensorBoard's own writers bring
gRPC or protobuf into every trainer, and begin another file at each start.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

NAME = "events.out.tfevents.plumbline"  # by `tfevents` TensorBoard knows it
VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # wire types
WALL_TIME, STEP, FILE_VERSION, SUMMARY = 1, 2, 3, 5  # of an Event
VALUE, TAG, SIMPLE_VALUE = 1, 1, 2  # of a Summary, and of its value


class Events:
    """The event file of a folder. Opening it drops what a kill cut short at its end; nothing is written before `add`.

    last: the last step in it, -1 where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.last = -1
        if self.path.exists():
            content = self.path.read_bytes()
            size, self.last = [(0, -1), *whole_events(content)][-1]
            if size < len(content):
                with self.path.open("r+b") as file:
                    file.truncate(size)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append the scalars of a step by their names. A step that is in the file stays as it was first told.

        A resumed run takes steps again that it took before, with the same outcome.
        """
        if step <= self.last:
            return
        with self.path.open("ab", buffering=0) as file:
            if file.tell() == 0:
                file.write(_record(_event(0, _field(FILE_VERSION, BYTES, b"brain.Event:2"))))
            values = b"".join(_field(VALUE, BYTES, _scalar(name, value)) for name, value in scalars.items())
            file.write(_record(_event(step, _field(SUMMARY, BYTES, values))))
        self.last = step


def whole_events(content: bytes) -> Iterator[tuple[int, int]]:
    """Of each event where it ends in bytes, and its step (-1: it only says the format), up to the first broken one."""
    at, step = 0, -1
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = content[at + 12 : at + 12 + length]
        record = _record(event)
        if not content.startswith(record, at):
            return
        step = _step(event) if at else -1
        at += len(record)
        yield at, step


def _event(step: int, what: bytes) -> bytes:
    return _field(WALL_TIME, DOUBLE, struct.pack("<d", time.time())) + _field(STEP, VARINT, _varint(step)) + what


def _step(event: bytes) -> int:
    """What `_event` wrote, after nine bytes of time and one that names the field."""
    step = 0
    for place, byte in enumerate(event[10:]):
        step |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return step


def _scalar(name: str, value: float) -> bytes:
    return _field(TAG, BYTES, name.encode()) + _field(SIMPLE_VALUE, FLOAT, struct.pack("<f", value))


def _field(number: int, kind: int, content: bytes) -> bytes:
    return bytes([number << 3 | kind]) + (_varint(len(content)) if kind == BYTES else b"") + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last byte have the eighth set."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _record(event: bytes) -> bytes:
    length = struct.pack("<Q", len(event))
    return length + _checksum(length) + event + _checksum(event)


def _checksum(content: bytes) -> bytes:
    """CRC-32C (Castagnoli), turned and shifted so that a checksum of checksums is none of the weak ones."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ CASTAGNOLI[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _by_bits(number: int) -> int:
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    return number


CASTAGNOLI = [_by_bits(byte) for byte in range(256)]
