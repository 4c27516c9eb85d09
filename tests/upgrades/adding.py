"""`python -m tests.upgrades.adding 0.1.0`: keep what a database of this version looks like, for all versions to come.

To be run at a release, on the released commit: it writes tests/upgrades/0.1.0.sql, a small installation as plain SQL.
From then on test_upgrades.py brings it up to date with every run of the tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PLAIN = ("--inserts", "--rows-per-insert=100", "--no-owner", "--no-privileges", "--no-comments")


def main(version: str) -> None:
    target = HERE / f"{version}.sql"
    if target.exists():
        raise SystemExit(f"{target} is there already. What was released does not change; give another version.")
    with tempfile.TemporaryDirectory(prefix="plumbline-release-") as folder:
        os.environ |= {"PLUMBLINE_DATA": folder, "DJANGO_SETTINGS_MODULE": "config.settings"}
        from config.embedded import postgres

        with postgres.serving(Path(folder)):
            _fill()
            target.write_text(_dump())
    print(f"{target}: {target.stat().st_size:,} bytes")


def _fill() -> None:
    """Everybody of the tests' world with work of each kind, rounds that ended and one that goes on."""
    import django

    django.setup()
    from django.core.management import call_command

    from annotation.models import ItemKind
    from tests.training.pages.scene import build_scene
    from tests.world import answer, make_prompt, make_ranking_item, make_token, rank, taken

    call_command("migrate", verbosity=0)
    scene = build_scene()
    scene.project.demonstrations_per_prompt = 1
    scene.project.instructions_wanted = 5
    scene.project.save()
    for number in range(3):
        make_prompt(scene.project, f"What is {number} and one?", author=scene.people.bob)
        make_ranking_item(scene.project)
    rank(taken(scene.project, scene.people.alice, ItemKind.RANKING), note="tab\tand 两")
    answer(taken(scene.project, scene.people.alice, ItemKind.DEMONSTRATION))
    taken(scene.project, scene.people.bob, ItemKind.RANKING)
    make_token(scene.people.rosa)
    scene.published_round()
    scene.run(state="running", step=3)


def _dump() -> str:
    """As plain SQL that any client runs: without what only psql understands."""
    from django.db import connection

    from config.embedded import postgres

    to = connection.settings_dict
    connection.close()
    command = [postgres.binary("pg_dump"), "-h", to["HOST"], "-p", to["PORT"], "-U", to["USER"], *PLAIN, to["NAME"]]
    environment = os.environ | {"PGPASSWORD": to["PASSWORD"]}
    text = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return re.sub(r"^(\\(un)?restrict .*|--.*|)\n", "", text, flags=re.MULTILINE)


if __name__ == "__main__":
    main(*sys.argv[1:])
