"""Restoring a backup: all of it or nothing, and never over anything that is there, unless that is asked for.

One transaction makes the tables as they were, loads them and brings them up to date. The files are unpacked beside the
data and take their places just before it ends; where that fails, they give them back.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from config.backup import CHUNK, FILES, FORMAT, MANIFEST, TABLES, BackupError, Tally, tables
from config.backup.making import NOT_COPIED
from config.embedded import locks

OWN = {*NOT_COPIED, "secret_key"}  # what an empty installation has too


def restore(source: Path, *, replace: bool = False) -> dict[str, Any]:
    """The backup's manifest. `replace`: what is there is given up for it."""
    data = Path(settings.DATA)
    with _opened(source) as archive, _alone(data):
        manifest = _manifest(archive, source)
        applied = [(app, name) for app, name in manifest["migrations"]]
        tables.check_known(applied)
        if not replace:
            _refuse_over_data(data)
        with tempfile.TemporaryDirectory(dir=data, prefix=".restoring-") as beside:
            new = Path(beside, "new")
            _unpack(archive, manifest, new)
            with _exchange(new, data, aside=Path(beside, "old")) as exchange, transaction.atomic():
                tables.make(applied)
                for table, about in manifest["tables"].items():
                    parts = _checked(archive, TABLES + table, about["sha256"])
                    tables.copy_in(table, about["columns"], parts)
                tables.settle(manifest["sequences"])
                call_command("migrate", verbosity=0, interactive=False)
                exchange()
    return manifest


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Nothing else of this installation runs meanwhile."""
    (data / "run").mkdir(parents=True, exist_ok=True)
    lock = data / "run" / "up.lock"
    with ExitStack() as exits:
        try:
            exits.enter_context(locks.held_or_refused(lock))
        except BlockingIOError:
            raise BackupError(f"Plumbline runs on {data}: {lock.read_text().strip()}. Stop it first.") from None
        if others := tables.others_at_work():
            raise BackupError(
                f"{others} connections to the database are open. Stop the web server, the workers and beat first."
            )
        yield


@contextmanager
def _opened(source: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive
    except FileNotFoundError as error:
        raise BackupError(f"There is no file {source}.") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise BackupError(f"{source} is no whole backup ({error}). Copy it again, or take another one.") from error


def _manifest(archive: zipfile.ZipFile, source: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
    except (KeyError, ValueError):
        raise BackupError(f"{source} holds no {MANIFEST}: it is no backup that `manage.py backup` made.") from None
    if manifest.get("format") != FORMAT:
        raise BackupError(
            f"{source} is a backup of format {manifest.get('format')}; this version reads format {FORMAT}. "
            "Install the version of Plumbline that made it."
        )
    return manifest


def _refuse_over_data(data: Path) -> None:
    found = [f"{count} rows in {table}" for table, count in sorted(tables.rows_of_people().items())]
    found += [f"{path.name}/" for path in _kept(data) if path.is_dir() and any(path.iterdir())]
    if found:
        few = ", ".join(found[:6]) + (" …" if len(found) > 6 else "")
        raise BackupError(
            f"There is data here already: {few}. Restore into an empty place (another PLUMBLINE_DATA or DATABASE_URL), "
            "or give all of it up with --replace."
        )


def _kept(data: Path) -> list[Path]:
    """What lies in the data folder beside what every installation has."""
    return [path for path in sorted(data.iterdir()) if path.name not in OWN and not path.name.startswith(".")]


def _unpack(archive: zipfile.ZipFile, manifest: dict[str, Any], new: Path) -> None:
    new.mkdir()
    for name, about in manifest["files"].items():
        path = new / name
        if not path.resolve().is_relative_to(new.resolve()):
            raise BackupError(f"The backup names the file {name!r}, outside of the data folder. It is not restored.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for chunk in _checked(archive, FILES + name, about["sha256"]):
                file.write(chunk)
        path.chmod(archive.getinfo(FILES + name).external_attr >> 16 & 0o777 or 0o600)


def _checked(archive: zipfile.ZipFile, name: str, sha256: str) -> Iterator[bytes]:
    """A part of the backup; BackupError at its end, if it is not what the manifest says."""
    tally = Tally()
    try:
        with archive.open(name) as member:
            while chunk := member.read(CHUNK):
                yield tally.add(chunk)
    except KeyError:
        raise BackupError(f"The backup lacks {name}, which its manifest names. Take another one.") from None
    if tally.sha256 != sha256:
        raise BackupError(f"{name} in the backup has the sha256 {tally.sha256}; expected {sha256}. Take another one.")


@contextmanager
def _exchange(new: Path, data: Path, *, aside: Path) -> Iterator[Callable[[], None]]:
    """What it gives puts the new files where the old ones are; undone unless the block ends well."""
    moved: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        moved.append((source, target))

    def exchange() -> None:
        coming = [each for path in new.iterdir() for each in (path.iterdir() if path.name == "run" else [path])]
        in_the_way = {data / each.relative_to(new) for each in coming} | set(_kept(data))
        for path in filter(Path.exists, in_the_way):
            move(path, aside / path.relative_to(data))
        for path in coming:
            move(path, data / path.relative_to(new))

    try:
        yield exchange
    except BaseException:
        for source, target in reversed(moved):
            target.rename(source)
        raise
