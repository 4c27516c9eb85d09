"""A model's folder as one file to take away: a tar that is written while it is sent, whatever its size."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _

from training.models import Policy, RewardModel

CHUNK = 1 << 20
# What save_pretrained writes. A folder that somebody brought in may hold other things beside.
KINDS = {".safetensors", ".json", ".md", ".txt", ".model", ".jinja"}


class Nothing(Exception):
    """There is no folder to take away; the message says why."""


class Entry(NamedTuple):
    path: Path
    head: bytes
    bytes: int

    @property
    def padding(self) -> int:
        return -self.bytes % tarfile.BLOCKSIZE


def download(model: Policy | RewardModel) -> StreamingHttpResponse:
    """The tar, its length known beforehand. Raises Nothing for a model on the hub, and where the folder is gone."""
    entries = entries_of(model)
    length = sum(len(each.head) + each.bytes + each.padding for each in entries) + 2 * tarfile.BLOCKSIZE
    name = slugify(model.name) or "model"
    headers = {
        "Content-Length": str(length),
        "Content-Disposition": content_disposition_header(as_attachment=True, filename=f"{name}.tar") or "attachment",
    }
    return StreamingHttpResponse(stream(entries), content_type="application/x-tar", headers=headers)


def entries_of(model: Policy | RewardModel) -> list[Entry]:
    if not model.path:
        where = _("{name} lies on the hub: take {source} from there.")
        raise Nothing(where.format(name=model.name, source=model.source))
    if not model.folder.is_dir():
        raise Nothing(_("The folder of {name} is gone.").format(name=model.name))
    folder = slugify(model.name) or "model"
    return [
        _entry(path, f"{folder}/{path.name}")
        for path in sorted(model.folder.iterdir())
        if path.is_file() and path.suffix in KINDS
    ]


def stream(entries: list[Entry]) -> Iterator[bytes]:
    """The entries one after the other. A file that has become shorter meanwhile ends the answer before its time."""
    for entry in entries:
        yield entry.head
        left = entry.bytes
        with entry.path.open("rb") as file:
            while left and (part := file.read(min(CHUNK, left))):
                left -= len(part)
                yield part
        if left:
            raise OSError(f"{entry.path} has {left} bytes less than it had.")
        yield b"\0" * entry.padding
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _entry(path: Path, name: str) -> Entry:
    found = path.stat()
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = found.st_size, int(found.st_mtime), 0o644
    return Entry(path, info.tobuf(tarfile.PAX_FORMAT), found.st_size)
