"""How fast a file comes in and how much memory that takes, for files of different lengths.

Each length is a process of its own over one database: it looks through the file and imports it, as the worker does.
Peak memory is the process's; the database's is the private memory of the backend that it talks to, at its largest. The
ratios compare the longest file with the shortest: memory that is bounded keeps them near 1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORDS = "river mountain capital ocean poem recipe letter number planet garden winter market engine music".split()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.import_lines", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--lines", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--kind", default="demonstrations", choices=["instructions", "demonstrations", "rankings"])
    parser.add_argument("--form", default="jsonl", choices=["jsonl", "csv", "parquet"])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        arguments.json.write_text(json.dumps(measured(arguments.one, arguments.kind, arguments.form)))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"PLUMBLINE_DATA": folder, "DJANGO_SETTINGS_MODULE": "config.settings"}
        found = with_database(Path(folder), arguments)
    first, last = found[0], found[-1]
    ratios = {name: round(last[name] / first[name], 2) for name in ("peak_mb", "database_mb")}
    report = {"kind": arguments.kind, "form": arguments.form, "cores": os.cpu_count(), "runs": found, "ratio": ratios}
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def with_database(folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from config.embedded import postgres

    postgres.start(folder, with_parent=True)
    try:
        run("-m", "django", "migrate", "--verbosity", "0")
        found = []
        for lines in arguments.lines:
            out = folder / f"{lines}.json"
            about = ("--kind", arguments.kind, "--form", arguments.form)
            run("-m", "benchmarks.import_lines", "--one", str(lines), "--json", str(out), *about)
            found.append(json.loads(out.read_text()))
        return found
    finally:
        postgres.stop(folder)


def run(*command: str) -> None:
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)


def measured(lines: int, kind: str, form: str) -> dict[str, Any]:
    import django

    django.setup()
    from django.db import connection

    from annotation import formats, importing
    from annotation.models import Project, User

    path = Path(os.environ["PLUMBLINE_DATA"]) / f"rows.{form}"
    rows = (row(number, kind) for number in range(lines))
    with path.open("wb") as file:
        file.writelines(formats.write(rows, list(row(0, kind)), form))
    user, _new = User.objects.get_or_create(username="ada")
    project = Project.objects.create(name=f"{lines}", slug=f"lines-{lines}")
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        backend = cursor.fetchone()[0]
    start_mb, database = peak_mb(), [private_mb(backend)]

    started = time.monotonic()
    with path.open("rb") as file:
        findings = importing.look_through(project, kind, file, name=path.name)
    looked = time.monotonic()
    with path.open("rb") as file:
        report = importing.import_rows(
            project, kind, file, user=user, name=path.name, tell=lambda _rows: database.append(private_mb(backend))
        )
    ended = time.monotonic()
    assert (findings.rows, report.rows, report.bad) == (lines, lines, 0)
    return {
        "lines": lines,
        "file_mb": round(path.stat().st_size / 1e6, 1),
        "looked_through_per_second": round(lines / (looked - started)),
        "imported_per_second": round(lines / (ended - looked)),
        "peak_mb": round(peak_mb(), 1),
        "peak_before_mb": round(start_mb, 1),
        "database_mb": round(max(database), 1),
    }


def row(number: int, kind: str) -> dict[str, Any]:
    words = " ".join(WORDS[(number * step) % len(WORDS)] for step in (1, 3, 5, 7, 11))
    prompt = f"Question {number} about {words}: what should a person know of it?"
    answer = f"Answer {number}. " + f"It is about {words}, and there is much to say of it. " * 4
    if kind == "instructions":
        return {"prompt": prompt}
    if kind == "demonstrations":
        return {"prompt": prompt, "completion": answer}
    outputs = [{"text": f"{answer} {rank}", "rank": rank, "model": f"model-{rank}"} for rank in (1, 2, 2, 4)]
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
