"""`python -m benchmarks.export --json FILE`: a million comparisons out of a database, by `manage.py export`.

The rows are made by COPY in a database of the benchmark's own: rankings of four outputs each, every other prompt ranked
by two people. `seconds` is the whole command, from the start of its process; `peak_mb` the most that process had in
memory; `rows` those of the file that it wrote.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORDS = "river mountain capital ocean poem recipe letter number planet garden winter market engine music".split()
OUTPUTS = 4
PAIRS = OUTPUTS * (OUTPUTS - 1) // 2
SLUG = "benchmark"
DICE = random.Random(0)
SENTENCES = [" ".join(DICE.choices(WORDS, k=38)) + "." for _number in range(2_000)]
NOW = datetime.now(UTC)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    parser.add_argument("--rows", type=int, default=1_000_000, help="comparisons, at least")
    parser.add_argument("--form", choices=("jsonl", "csv", "parquet"), default="jsonl")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"PLUMBLINE_DATA": folder, "DJANGO_SETTINGS_MODULE": "config.settings"}
        from config.embedded import postgres

        postgres.start(Path(folder), with_parent=True, durable=False)
        with postgres.serving(Path(folder)):
            report = measured(Path(folder) / f"comparisons.{arguments.form}", rows=arguments.rows)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def measured(path: Path, *, rows: int) -> dict[str, Any]:
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "--verbosity", "0"], cwd=ROOT, check=True)
    fill(-(-rows // PAIRS))
    started = time.monotonic()
    command = [*manage, "export", SLUG, "comparisons", "--out", str(path)]
    process = subprocess.Popen(command, cwd=ROOT)
    _pid, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    assert status == 0, f"the export ended with status {status}"
    found = rows_of(path)
    assert rows <= found < rows + PAIRS, f"{found} rows came out, {rows} were expected"
    return {
        "rows": found,
        "seconds": round(seconds, 1),
        "peak_mb": round(used.ru_maxrss / 1024, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "file_mb": round(path.stat().st_size / 1e6, 1),
        "form": path.suffix[1:],
        "cores": os.cpu_count(),
    }


def rows_of(path: Path) -> int:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return int(pyarrow.parquet.read_metadata(path).num_rows)
    with path.open("rb") as file:  # no text of ours has a line end in it
        return sum(1 for _line in file) - (path.suffix == ".csv")


def fill(rankings: int) -> None:
    """A project with so many rankings of four outputs without ties, each output of about 250 characters."""
    import django

    django.setup()
    from django.db import connection

    from annotation.models import Generator, GeneratorKind, Guidelines, Project, User

    project = Project.objects.create(name=SLUG, slug=SLUG)
    rules = Guidelines.objects.create(project=project, version=1, text="Be kind.")
    people = [User.objects.create(username=f"person-{number}").pk for number in range(2)]
    models = [
        Generator.objects.create(project=project, kind=GeneratorKind.EXTERNAL, name=f"model-{number}").pk
        for number in range(OUTPUTS)
    ]
    prompts = range(1, -(-rankings * 2 // 3) + 1)
    tables = {
        "wording (project_id, digest, split, pool)": (
            (project.pk, digest(prompt), "train", "reward") for prompt in prompts
        ),
        "prompt (id, project_id, messages, digest, split, pool, kind, use_case, language, bands, harmful, review, "
        "created_at)": (
            (
                prompt, project.pk, json.dumps([{"role": "user", "content": question(prompt)}]), digest(prompt),
                "train", "reward", "plain", "other", "en", "{}", False, "pending", NOW,
            )
            for prompt in prompts
        ),
        "completion (id, prompt_id, generator_id, text, sampling, giveaway, created_at)": (
            (pk, prompt, model, DICE.choice(SENTENCES), "{}", "", NOW)
            for prompt in prompts
            for pk, model in zip(outputs(prompt), models, strict=True)
        ),
        "ranking (prompt_id, annotator_id, groups, shown, ratings, flags, twins, note, guidelines_id, seconds, review, "
        "origin, created_at)": islice(ranking_rows(prompts, people, rules.pk), rankings),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("set session_replication_role = replica")  # foreign keys are not looked up row by row
        for table, rows in tables.items():
            with cursor.copy(f"copy annotation_{table} from stdin") as copy:
                for row in rows:
                    copy.write_row(row)
        cursor.execute("analyze")


def ranking_rows(prompts: range, people: list[int], guidelines: int) -> Iterator[tuple[Any, ...]]:
    """Of every prompt one person's, and of every other the other's too."""
    for prompt in prompts:
        for person in people[: 1 + prompt % 2]:
            shown = list(outputs(prompt))
            DICE.shuffle(shown)
            groups, ratings = json.dumps([[each] for each in shown]), json.dumps({str(shown[0]): 6})
            order = "{" + ",".join(map(str, shown)) + "}"
            yield prompt, person, groups, order, ratings, "{}", "{}", "", guidelines, 31.5, "pending", "{}", NOW


def outputs(prompt: int) -> range:
    """The numbers of a prompt's completions."""
    return range(prompt * OUTPUTS, (prompt + 1) * OUTPUTS)


def question(prompt: int) -> str:
    return f"Question {prompt}: what should a person know of it? {SENTENCES[prompt % len(SENTENCES)][:60]}"


def digest(prompt: int) -> str:
    return hashlib.sha256(question(prompt).encode()).hexdigest()


if __name__ == "__main__":
    main()
