"""`manage.py export capitals comparisons`: a project's rows as a file, streamed, with a progress bar on stderr."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

from django.core.management.base import BaseCommand, CommandError

from annotation import audit, exporting
from annotation.models import Project

WIDTH = 30
BAR_EVERY, LINE_EVERY = 0.2, 10.0  # seconds: on a terminal, and in a log


class Command(BaseCommand):
    help = "Write instructions, demonstrations, rankings or comparisons of a project to a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's short name, as in its address")
        parser.add_argument("kind", choices=exporting.KINDS)
        parser.add_argument(
            "--form", choices=list(exporting.FORMATS), help="default: as the file's name says, or jsonl"
        )
        parser.add_argument("--out", help="the file; - is standard output (default: PROJECT-KIND.FORM here)")

    def handle(self, *args: Any, **options: Any) -> None:
        slug, kind, out = options["project"], options["kind"], options["out"]
        project = Project.objects.filter(slug=slug).first()
        if project is None:
            known = ", ".join(Project.objects.order_by("slug").values_list("slug", flat=True)) or "none"
            raise CommandError(f"There is no project {slug!r}. Known are: {known}.")
        form = options["form"] or _form_of(out)
        audit.record(audit.Action.EXPORTED, actor=None, project=project, kind=kind, format=form)
        bar = Bar(sys.stderr, total=exporting.count(project, kind), quiet=options["verbosity"] == 0)
        with _opened(out or f"{slug}-{kind}.{form}") as file:
            for piece in exporting.stream(project, kind, form, tell=bar.tell):
                file.write(piece)
        bar.end()


class Bar:
    """How far it is and how long it still takes: a line that is drawn again, or in a log one every ten seconds."""

    def __init__(self, out: TextIO, *, total: int, quiet: bool) -> None:
        self._out, self._total, self._quiet = out, total, quiet
        self._live = out.isatty()
        self._started = self._shown = time.monotonic()

    def tell(self, done: int) -> None:
        now = time.monotonic()
        if not self._quiet and now - self._shown >= (BAR_EVERY if self._live else LINE_EVERY):
            self._shown = now
            left = (now - self._started) * (self._total - done) / max(done, 1)
            self._show(done, f"{_clock(max(left, 0))} left")

    def end(self) -> None:
        if not self._quiet:
            self._show(self._total, f"done in {_clock(time.monotonic() - self._started)}")
            self._out.write("\n" if self._live else "")

    def _show(self, done: int, note: str) -> None:
        share = min(done / self._total, 1) if self._total else 1.0
        bar = "#" * round(share * WIDTH)
        line = f"[{bar:<{WIDTH}}] {share:4.0%}  {done:,} of {self._total:,} records, {note}"
        self._out.write(f"\r\x1b[K{line}" if self._live else f"{line}\n")
        self._out.flush()


@contextmanager
def _opened(out: str) -> Iterator[IO[bytes]]:
    """The file to write; it has its name only once it is whole."""
    if out == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(out)
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    except OSError as error:
        raise CommandError(f"{path} can't be written ({error}). Name another file with --out.") from error
    finally:
        draft.unlink(missing_ok=True)


def _form_of(out: str | None) -> str:
    ending = (out or "").rpartition(".")[2]
    return ending if ending in exporting.FORMATS else "jsonl"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
