"""Unix sockets by paths of any length: the kernel takes 107 bytes, and a data folder may lie deeper. Without torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 100


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name under which the socket can be bound or reached within the block."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
