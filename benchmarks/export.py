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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORDS = "river mountain capital ocean poem recipe letter number planet garden winter market engine music".split()
OUTPUTS = 4
PAIRS = OUTPUTS * (OUTPUTS - 1) // 2
SLUG = "benchmark"
DICE = random.Random(0)


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

    from annotation.adding import BATCH
    from annotation.models import Generator, GeneratorKind, Guidelines, Project, User

    project = Project.objects.create(name=SLUG, slug=SLUG)
    guidelines = Guidelines.objects.create(project=project, version=1, text="Be kind.")
    people = [User.objects.create(username=f"person-{number}") for number in range(2)]
    models = [
        Generator.objects.create(project=project, kind=GeneratorKind.EXTERNAL, name=f"model-{number}")
        for number in range(OUTPUTS)
    ]
    made = 0
    while made < rankings:
        made += fill_batch(project, models, people, guidelines, start=made, most=min(BATCH, rankings - made))
    with connection.cursor() as cursor:
        cursor.execute("analyze")


def fill_batch(project: Any, models: Any, people: Any, guidelines: Any, *, start: int, most: int) -> int:
    """Two rankings of every other prompt, and one of the others; how many rankings."""
    from annotation.copying import copied
    from annotation.models import Completion, Pool, Prompt, Ranking, Split, Wording

    asked = [f"Question {start + number} about {said(6)}: what should a person know of it?" for number in range(most)]
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in asked]
    about = {"project": project, "split": Split.TRAIN, "pool": Pool.REWARD}
    copied(Wording(digest=digest, **about) for digest in hashes)
    prompts = copied(
        Prompt(messages=[{"role": "user", "content": text}], digest=digest, **about)
        for text, digest in zip(asked, hashes, strict=True)
    )
    outputs = copied(
        Completion(prompt=prompt, generator=model, text=said(38)) for prompt in prompts for model in models
    )
    made = []
    for place, prompt in enumerate(prompts):
        for person in people[: 1 + place % 2]:
            shown = [each.pk for each in outputs[place * OUTPUTS : (place + 1) * OUTPUTS]]
            DICE.shuffle(shown)
            made.append(
                Ranking(
                    prompt=prompt, annotator=person, groups=[[each] for each in shown], shown=shown, seconds=31.5,
                    ratings={str(shown[0]): 6}, guidelines=guidelines,
                )
            )  # fmt: skip
    return len(copied(made[:most]))


def said(words: int) -> str:
    return " ".join(DICE.choices(WORDS, k=words)) + "."


if __name__ == "__main__":
    main()
