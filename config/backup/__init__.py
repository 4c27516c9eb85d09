"""A whole installation as one file: the database and the files beside it, as they were at one moment.

The file is a ZIP: `tables/NAME` as COPY writes them, `files/PATH` below the data folder, and `manifest.json`, which
comes last and names every part with its sha256. It is not tied to a version of PostgreSQL.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

FORMAT = 1
MANIFEST = "manifest.json"
TABLES, FILES = "tables/", "files/"
CHUNK = 1 << 20


class BackupError(Exception):
    """What was found, what was expected and what to do. Nothing has been changed."""


@dataclass
class Tally:
    """What went through: how many bytes and lines, and their hash."""

    size: int = 0
    lines: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        self.lines += chunk.count(b"\n")
        self.digest.update(chunk)
        return chunk

    @property
    def sha256(self) -> str:
        return self.digest.hexdigest()
