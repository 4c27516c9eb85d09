"""Data into a project from a file: read and checked row by row, written in batches, all in one transaction.

Bad rows are reported by line and reason. Unless told to keep the good ones, a single bad row keeps all of them out.
Neither looking through a file nor importing it takes more memory for a longer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from django.db import connection, transaction
from django.utils.translation import gettext as _

from annotation import audit, formats
from annotation.adding import batched
from annotation.import_columns import as_ours
from annotation.import_rows import PARSERS, ImportedRow
from annotation.import_writers import Writer
from annotation.models import Completion, Demonstration, Item, Project, Prompt, Ranking, User, Wording
from annotation.refusals import Refused
from annotation.wording import storable

KINDS = tuple(PARSERS)
BATCH = 500
FIRST_LOOK = 8  # batches, from which on the planner is told of them
ERRORS_KEPT = 1_000
LONGEST_REASON = 1_000  # it may quote what it found, which is as long as somebody likes
SAMPLE = 5
IMPORT_LOCK = 0x494D  # the first of two; the second is the project


Told = Callable[[int], bool]  # how many lines are read, now and then; whether to go on


class BadRow(NamedTuple):
    line: int
    message: str


@dataclass(kw_only=True)
class ImportReport:
    """`rows` came in; `repeats` were there already and are not counted twice; `bad` were not understood.

    `errors` says why, for the first thousand of them. `stopped`: not all of the file was read.
    """

    rows: int = 0
    repeats: int = 0
    bad: int = 0
    stopped: bool = False
    errors: list[BadRow] = field(default_factory=list)

    def note(self, line: int, message: str) -> None:
        self.bad += 1
        if len(self.errors) < ERRORS_KEPT:
            kept = message if len(message) <= LONGEST_REASON else f"{message[:LONGEST_REASON]}…"
            self.errors.append(BadRow(line, kept))


@dataclass(kw_only=True)
class Findings(ImportReport):
    """What a file would bring: `rows` were understood; `sample` holds the first of them with their lines."""

    sample: list[tuple[int, ImportedRow]] = field(default_factory=list)


def look_through(
    project: Project, kind: str, file: IO[bytes], *, name: str, tell: Told = lambda lines: True
) -> Findings:
    """Read and check all of a file. Nothing is written."""
    findings = Findings()
    for batch in batched(_good_rows(project, kind, file, name, findings, tell), BATCH):
        findings.rows += len(batch)
        findings.sample += batch[: SAMPLE - len(findings.sample)]
    return findings


@transaction.atomic
def import_rows(
    project: Project, kind: str, file: IO[bytes], *, user: User, keep_good: bool = False, name: str = "",
    tell: Told = lambda lines: True,
) -> ImportReport:  # fmt: skip
    """Add a file's rows. `kind` of KINDS; the format is told by the file's name.

    Where it is stopped, the rows before stay if `keep_good`, else none does: it is not known yet whether all are good.
    """
    report = ImportReport()
    if not alone(project):
        report.note(0, _("Another import into this project is running. Please wait until it is done."))
        return report
    _check_references_at_once()
    writer = Writer(project, user=user)
    batches = batched(_good_rows(project, kind, file, name or file.name, report, tell), BATCH)
    for number, batch in enumerate(batches, start=1):
        if keep_good or not (report.bad or report.stopped):
            added = writer.write(kind, [row for _line, row in batch])
            report.rows += added
            report.repeats += len(batch) - added
        if number >= FIRST_LOOK and number.bit_count() == 1:
            _tell_the_planner()
    if (report.bad or report.stopped) and not keep_good:
        transaction.set_rollback(True)
        report.rows = report.repeats = 0
    else:
        audit.record(
            audit.Action.IMPORTED, actor=user, project=project,
            kind=kind, file=storable(name or file.name)[:200], rows=report.rows, repeats=report.repeats, bad=report.bad,
            stopped=report.stopped,
        )  # fmt: skip
    return report


def alone(project: Project) -> bool:
    """Imports of one project run one at a time, until the transaction ends: two could wait for each other's texts."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s, %s)", [IMPORT_LOCK, project.pk])
        return bool(cursor.fetchone()[0])


def _good_rows(
    project: Project, kind: str, file: IO[bytes], name: str, report: ImportReport, tell: Told
) -> Iterator[tuple[int, ImportedRow]]:
    for read, (line, row) in enumerate(formats.read(file, name)):
        if read % BATCH == 0 and not tell(read):
            report.stopped = True
            return
        try:
            if isinstance(row, formats.UnreadableRow):
                raise Refused(str(row))
            yield line, PARSERS[kind](project, as_ours(kind, row))
        except Refused as refusal:
            report.note(line, str(refusal))


def _tell_the_planner() -> None:
    """Have the tables counted that grow. Nobody else counts the rows of a transaction that goes on.

    The planner took them for few and looked for each batch's texts among all of the project's, slower every time.
    """
    with connection.cursor() as cursor:
        for model in (Prompt, Wording, Demonstration, Completion, Item, Ranking):
            cursor.execute(f"analyze (skip_locked) {model._meta.db_table}")


def _check_references_at_once() -> None:
    """Else the database remembers each row that it has yet to check until the end, in memory."""
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
