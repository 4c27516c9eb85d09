"""Making a backup while people work: the database as of one moment, and the files that it tells of.

Files appear before the row that tells of them and go after it, so that whatever the snapshot names is there. Erasures,
which write datasets anew, wait until those are copied. Left out is what goes on changing: folders of runs that have not
ended, and checkpoints. Such a run begins anew, to the same result.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction

from config.backup import CHUNK, FILES, FORMAT, MANIFEST, TABLES, BackupError, Tally, tables

# The database is copied as tables, and the rest is made anew by every start.
NOT_COPIED = {"postgres", "postgres.new", "postgres.password", "broker", "run", "static", "endpoint_secret"}
OF_RUN = ("run/demo_is_built", "run/sign_ins.txt")


def make(target: Path) -> dict[str, Any]:
    """The manifest of the backup that was written to `target`, which did not exist and is whole or not there at all."""
    data = Path(settings.DATA)
    if target.exists():
        raise BackupError(f"There is a file {target} already. Give another name.")
    if not target.parent.is_dir():
        raise BackupError(f"There is no folder {target.parent}. Make it, or give another one.")
    if target.resolve().is_relative_to(data):
        raise BackupError(f"{target} lies in the data folder {data}, which is what is copied. Give a file elsewhere.")
    draft = target.with_name(f".{target.name}.part")
    try:
        with _private(draft) as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                manifest = _fill(archive, data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    return manifest


@contextmanager
def _private(path: Path) -> Iterator[Any]:
    """A new file that its owner alone can read: it holds what a backup holds of secrets."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
        yield file


def _fill(archive: zipfile.ZipFile, data: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = {"format": FORMAT, "made_at": datetime.now(UTC).isoformat(), "tables": {}, "files": {}}
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read")
        manifest["migrations"] = tables.migrations()
        unfinished = _unfinished_runs()
        with _datasets_as_they_are():
            for path in _files(data / "datasets"):
                _add_file(archive, data, path, manifest)
        for path in _files(data):
            if not _is_left_out(path.relative_to(data), unfinished):
                _add_file(archive, data, path, manifest)
        for table in tables.kept():
            manifest["tables"][table] = _add_table(archive, table)
        manifest["sequences"] = tables.sequences()
    archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
    return manifest


def _add_table(archive: zipfile.ZipFile, table: str) -> dict[str, Any]:
    tally, names = Tally(), tables.columns(table)
    with archive.open(TABLES + table, "w", force_zip64=True) as member:
        for chunk in tables.copy_out(table, names):
            member.write(tally.add(chunk))
    return {"columns": names, "rows": tally.lines, "sha256": tally.sha256}


def _add_file(archive: zipfile.ZipFile, data: Path, path: Path, manifest: dict[str, Any]) -> None:
    """As far as it goes now; what is gone since it was seen is told of by nothing."""
    name, tally = path.relative_to(data).as_posix(), Tally()
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        info = zipfile.ZipInfo(FILES + name)  # stored as it is: weights do not shrink
        info.external_attr = (os.fstat(file.fileno()).st_mode & 0o777) << 16
        with archive.open(info, "w", force_zip64=True) as member:
            while chunk := file.read(CHUNK):
                member.write(tally.add(chunk))
    manifest["files"][name] = {"bytes": tally.size, "sha256": tally.sha256}


def _files(folder: Path) -> Iterator[Path]:
    """Every file below, those first whose names begin with a dot: a draft before the file whose place it takes."""
    for path, folders, names in os.walk(folder):
        folders.sort()
        yield from (each for name in sorted(names) if (each := Path(path, name)).is_file() and not each.is_symlink())


def _is_left_out(path: Path, unfinished: set[str]) -> bool:
    top, *rest = path.parts
    if top == "datasets":  # copied already
        return True
    if top == "runs" and rest:
        return rest[0] in unfinished or "checkpoints" in rest
    return top.startswith(".") or (top in NOT_COPIED and path.as_posix() not in OF_RUN)


def _unfinished_runs() -> set[str]:
    """The names of their folders."""
    if not apps.is_installed("training"):
        return set()
    runs = apps.get_model("training", "TrainingRun").objects.active()
    return {str(pk) for pk in runs.values_list("pk", flat=True)}


@contextmanager
def _datasets_as_they_are() -> Iterator[None]:
    """Holds up whoever would erase rows from datasets, for as long as the block runs."""
    with transaction.atomic():
        if apps.is_installed("training"):
            with connection.cursor() as cursor:
                cursor.execute("select id from training_dataset for share")
        yield
        transaction.set_rollback(True)  # to the savepoint: that is what gives the rows free again
