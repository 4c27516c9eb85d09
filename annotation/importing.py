"""Data into a project from a file: read and checked row by row, written in batches, all in one transaction.

Bad rows are reported by line and reason. Unless told to keep the good ones, a single bad row keeps all of them out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from django.db import connection, transaction
from django.utils.translation import gettext as _

from annotation import audit, formats
from annotation.adding import batched
from annotation.import_rows import PARSERS, ImportedRow
from annotation.import_writers import Writer
from annotation.models import Project, User
from annotation.refusals import Refused
from annotation.wording import storable

KINDS = tuple(PARSERS)
BATCH = 500
ERRORS_KEPT = 1_000
IMPORT_LOCK = 0x494D  # the first of two; the second is the project


class BadRow(NamedTuple):
    line: int
    message: str


@dataclass(kw_only=True)
class ImportReport:
    """`rows` came in; `repeats` were there already and are not counted twice; `bad` were not understood.

    `errors` says why, for the first thousand of them.
    """

    rows: int = 0
    repeats: int = 0
    bad: int = 0
    errors: list[BadRow] = field(default_factory=list)

    def note(self, line: int, message: str) -> None:
        self.bad += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(BadRow(line, message))


@transaction.atomic
def import_rows(
    project: Project, kind: str, file: IO[bytes], *, user: User, keep_good: bool = False, name: str = ""
) -> ImportReport:
    """Add a file's rows. `kind` of KINDS; the format is told by the file's name."""
    report = ImportReport()
    if not _alone(project):
        report.note(0, _("Another import into this project is running. Please wait until it is done."))
        return report
    writer = Writer(project, user=user)
    for batch in batched(_good_rows(project, kind, file, name or file.name, report), BATCH):
        if keep_good or not report.bad:
            added = writer.write(kind, batch)
            report.rows += added
            report.repeats += len(batch) - added
    if report.bad and not keep_good:
        transaction.set_rollback(True)
        report.rows = report.repeats = 0
    else:
        audit.record(
            audit.Action.IMPORTED, actor=user, project=project,
            kind=kind, file=storable(name or file.name)[:200], rows=report.rows, repeats=report.repeats, bad=report.bad,
        )  # fmt: skip
    return report


def _good_rows(project: Project, kind: str, file: IO[bytes], name: str, report: ImportReport) -> Iterator[ImportedRow]:
    for line, row in formats.read(file, name):
        try:
            if isinstance(row, formats.UnreadableRow):
                raise Refused(str(row))
            yield PARSERS[kind](project, row)
        except Refused as refusal:
            report.note(line, str(refusal))


def _alone(project: Project) -> bool:
    """Imports of one project run one at a time: two could wait for each other's texts."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s, %s)", [IMPORT_LOCK, project.pk])
        return bool(cursor.fetchone()[0])
