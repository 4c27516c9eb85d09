"""A pass over an upload, as others see it: how far it is, how often it was begun, whether somebody wants it to stop.

The pass is one transaction, of which nobody sees anything before its end, and which holds the row. Files beside the
upload's own are seen at once, and outlive a worker that dies.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from annotation.models import Upload

PATIENCE = 60  # seconds without a sign after which a pass is taken for dead


class Sign(NamedTuple):
    """`begun`: how often the pass was begun; `lines`: those it has read; `age`: seconds since it said so."""

    begun: int
    lines: int
    age: float

    @property
    def is_fresh(self) -> bool:
        return self.age < PATIENCE


def sign(upload: Upload) -> Sign | None:
    """The last sign of the pass that is under way, or was when its worker died; None before one has begun."""
    path = _progress(upload)
    try:
        begun, lines = json.loads(path.read_text())
        return Sign(begun, lines, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return None


def begin(upload: Upload) -> int:
    """How often this pass is begun now: more than once where workers died in the middle of it."""
    last = sign(upload)
    begun = last.begun + 1 if last else 1
    _write(upload, begun, 0)
    return begun


def tell(upload: Upload, begun: int, lines: int) -> bool:
    """Say how far the pass is; whether it is to go on."""
    _write(upload, begun, lines)
    return not is_stopping(upload)


def end(upload: Upload) -> None:
    for path in (_progress(upload), _stop(upload)):
        path.unlink(missing_ok=True)


def ask_to_stop(upload: Upload) -> None:
    _stop(upload).touch()


def is_stopping(upload: Upload) -> bool:
    return _stop(upload).exists()


def _write(upload: Upload, begun: int, lines: int) -> None:
    path = _progress(upload)
    new = path.with_suffix(".new")
    new.write_text(json.dumps([begun, lines]))
    os.replace(new, path)


def _progress(upload: Upload) -> Path:
    return upload.path.with_suffix(".pass")


def _stop(upload: Upload) -> Path:
    return upload.path.with_suffix(".stop")
