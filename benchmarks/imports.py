"""`python -m benchmarks.imports --json FILE`: how fast files come in and in how much memory, by kind and format.

Each file is a process of its own over one database: it looks through the file and imports it, as the worker does. Peak
memory is the process's, the database's is the private memory of the backend that it talks to, at its largest. With
several numbers of lines the ratios compare the longest file with the shortest: bounded memory keeps them near 1.
`one-group` is Parquet whose rows are all in one group, as some writers make it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("instructions", "demonstrations", "completions", "rankings")
FORMS = ("jsonl", "csv", "parquet", "one-group")
WORDS = "river mountain capital ocean poem recipe letter number planet garden winter market engine music".split()
OUTPUTS = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imports", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--lines", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["demonstrations", "rankings"])
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=["jsonl", "one-group"])
    parser.add_argument("--one", nargs=3, metavar=("KIND", "FORM", "LINES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, form, lines = arguments.one
        arguments.json.write_text(json.dumps(measured(kind, form, int(lines))))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"PLUMBLINE_DATA": folder, "DJANGO_SETTINGS_MODULE": "config.settings"}
        runs = list(with_database(Path(folder), arguments))
    report = {"cores": os.cpu_count(), "runs": runs, "ratios": ratios(runs)}
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def with_database(folder: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from config.embedded import postgres

    postgres.start(folder, with_parent=True)
    try:
        run("-m", "django", "migrate", "--verbosity", "0")
        out = folder / "run.json"
        for kind in arguments.kinds:
            for form in arguments.forms:
                for lines in sorted(arguments.lines):
                    run("-m", "benchmarks.imports", "--one", kind, form, str(lines), "--json", str(out))
                    yield json.loads(out.read_text())
    finally:
        postgres.stop(folder)


def run(*command: str) -> None:
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)


def ratios(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of the longest file to the shortest, by kind and format."""
    found = {}
    for kind, form in dict.fromkeys((run["kind"], run["form"]) for run in runs):
        first, *_between, last = [run for run in runs if (run["kind"], run["form"]) == (kind, form)] * 2
        names = ("peak_mb", "database_mb", "lines_per_second")
        found[f"{kind} {form}"] = {name: round(last[name] / first[name], 2) for name in names}
    return found


def measured(kind: str, form: str, lines: int) -> dict[str, Any]:
    path = Path(os.environ["PLUMBLINE_DATA"]) / f"rows.{form.replace('one-group', 'parquet')}"
    run("-c", f"from benchmarks import imports; imports.write({str(path)!r}, {kind!r}, {form!r}, {lines})")
    import django

    django.setup()
    from django.db import connection

    from annotation import importing
    from annotation.models import Project, User

    user, _new = User.objects.get_or_create(username="ada")
    slug = f"{kind}-{form}-{lines}"
    project = Project.objects.create(name=slug, slug=slug)
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        backend = cursor.fetchone()[0]
    before, database = peak_mb(), [private_mb(backend)]

    def tell(_lines: int) -> bool:
        database.append(private_mb(backend))
        return True

    started, used = time.monotonic(), time.process_time()
    with path.open("rb") as file:
        findings = importing.look_through(project, kind, file, name=path.name)
    looked = time.monotonic()
    with path.open("rb") as file:
        report = importing.import_rows(project, kind, file, user=user, name=path.name, tell=tell)
    ended = time.monotonic()
    assert (findings.rows, report.rows, report.bad) == (lines, lines, 0)
    return {
        "kind": kind,
        "form": form,
        "lines": lines,
        "file_mb": round(path.stat().st_size / 1e6, 1),
        "looked_through_seconds": round(looked - started, 1),
        "seconds": round(ended - looked, 1),
        "lines_per_second": round(lines / (ended - looked)),
        "processor_seconds": round(time.process_time() - used, 1),
        "peak_mb": round(peak_mb(), 1),
        "peak_before_mb": round(before, 1),
        "database_mb": round(max(database), 1),
    }


def write(path: str, kind: str, form: str, lines: int) -> None:
    """The file, by a process of its own: a row group in memory is none of the import's."""
    import django

    django.setup()
    from annotation import formats

    with Path(path).open("wb") as file:
        rows = (row(kind, number) for number in range(lines))
        file.writelines(formats.write(rows, list(row(kind, 0)), form.replace("one-group", "parquet")))
    if form == "one-group":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        pyarrow.parquet.write_table(table, path, row_group_size=lines, compression="zstd")


def row(kind: str, number: int) -> dict[str, Any]:
    """A prompt of a dozen words and answers of about 250 characters, the same for the same number."""
    dice = random.Random(number)
    prompt = f"Question {number} about {' '.join(dice.choices(WORDS, k=6))}: what should a person know of it?"
    if kind == "instructions":
        return {"prompt": prompt}
    answers = [f"Answer {number}.{each} " + " ".join(dice.choices(WORDS, k=38)) + "." for each in range(OUTPUTS)]
    if kind == "demonstrations":
        return {"prompt": prompt, "completion": answers[0]}
    ranks = [1, 2, 2, 4]
    outputs = [
        {"text": text, "rank": rank, "model": f"model-{at}"}
        for at, (text, rank) in enumerate(zip(answers, ranks, strict=True))
    ]
    return {"prompt": prompt, "completions": outputs}


def peak_mb() -> float:
    """The most that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def private_mb(process: int) -> float:
    """What a process has in memory that it shares with nobody: not the database's common buffers."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


if __name__ == "__main__":
    main()
