"""Each released version's database, as tests/upgrades/VERSION.sql keeps it, comes up to date and loses nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from psycopg.sql import SQL, Identifier

from tests.processes import environment

RELEASES = sorted(Path(__file__).parent.glob("*.sql"))
# What a later version changes on purpose: {"0.1.0": {"table.column": "why"}}, or a whole table.
CHANGED: dict[str, dict[str, str]] = {}

Rows = dict[str, dict[str, dict[str, Any]]]

GOING_ON = """
import django; django.setup()
from django.contrib.auth import authenticate
from annotation.models import ItemKind, Project
from tests.world import PASSWORD, answer, rank, taken
alice, project = authenticate(username="alice", password=PASSWORD), Project.objects.get(slug="capitals")
assert alice is not None, "Alice can't sign in"
print(rank(taken(project, alice, ItemKind.RANKING)).pk, answer(taken(project, alice, ItemKind.DEMONSTRATION)).pk)
"""

SCHEMA = """
select 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
    coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attgenerated::text
from pg_attribute a join pg_class c on c.oid = a.attrelid
left join pg_attrdef d on (d.adrelid, d.adnum) = (c.oid, a.attnum)
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
union all select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', ''
from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
union all select 'index', tablename, indexname, indexdef, '', '', '' from pg_indexes where schemaname = 'public'
union all select 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), '', '', ''
from pg_trigger where not tgisinternal
union all select 'function', proname, '', pg_get_functiondef(oid), '', '', ''
from pg_proc where pronamespace = 'public'::regnamespace
"""


CAST = re.compile(r"::(character varying|text)(\[\])?|[()]")  # PostgreSQL writes them elsewhere after a dump


@pytest.fixture(params=RELEASES, ids=lambda path: path.stem)
def release(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[Path]:
    """A released version's database beside the test's own, under its version's name."""
    path: Path = request.param
    with closing(_connected(connection.settings_dict["NAME"])) as server:
        server.execute(SQL("drop database if exists {}").format(Identifier(_name(path))))
        server.execute(SQL("create database {}").format(Identifier(_name(path))))
        with closing(_connected(_name(path))) as empty:
            empty.execute(path.read_text())
        yield path
        server.execute(SQL("drop database {} with (force)").format(Identifier(_name(path))))


def _name(release: Path) -> str:
    return f"upgrade_{release.stem}"


def _connected(database: str) -> psycopg.Connection[Any]:
    to = connection.settings_dict
    return psycopg.connect(
        host=to["HOST"], port=to["PORT"], user=to["USER"], password=to["PASSWORD"], dbname=database, autocommit=True
    )


def _python(release: Path, *arguments: str) -> str:
    """What a process of the present version prints, on the released version's database."""
    ours = environment()
    there = ours["DATABASE_URL"].rpartition("/")[0] + f"/{_name(release)}"
    done = subprocess.run(
        [sys.executable, *arguments], cwd=settings.BASE_DIR, env=ours | {"DATABASE_URL": there},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _rows(database: str) -> Rows:
    """Table → key → row, as JSON: the key is the primary key, or the whole row where there is none."""
    found: Rows = {}
    with closing(_connected(database)) as there:
        tables = there.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        for (table,) in tables:
            rows = there.execute(SQL("select to_jsonb(t) from {} t").format(Identifier(table))).fetchall()
            found[table] = {str(row.get("id", row)): row for (row,) in rows}
    return found


def _schema(database: str) -> set[tuple[Any, ...]]:
    with closing(_connected(database)) as there:
        return {tuple(CAST.sub("", part) for part in row) for row in there.execute(SCHEMA).fetchall()}


def lost(before: Rows, after: Rows, changed: dict[str, str]) -> list[str]:
    """What was there and is not, or is something else, but for what was changed on purpose."""
    found = []
    for table, rows in before.items():
        if table not in after:
            found += [] if table in changed else [table]
            continue
        for key, row in rows.items():
            now = after[table].get(key)
            if now is None:
                found += [f"{table} {key}"]
                continue
            found += [
                f"{table} {key}: {name} was {value!r} and is {now.get(name)!r}"
                for name, value in row.items()
                if now.get(name, None) != value and f"{table}.{name}" not in changed
            ]
    return found


def test_a_released_versions_database_comes_up_to_date_and_people_go_on_working(release: Path) -> None:
    """No row is lost or changed, and a migration that was edited after its release, which would leave old
    installations behind, is seen by what it made differently.
    """
    before = _rows(_name(release))
    assert sum(bool(rows) for rows in before.values()) >= 20, "the dump should hold rows of most tables"
    _python(release, "manage.py", "migrate", "--no-input", "--verbosity", "0")
    assert lost(before, _rows(_name(release)), CHANGED.get(release.stem, {})) == []
    upgraded, fresh = _schema(_name(release)), _schema(connection.settings_dict["NAME"])
    assert (upgraded - fresh, fresh - upgraded) == (set(), set())
    ranking, demonstration = _python(release, "-c", GOING_ON).split()
    rows = _rows(_name(release))
    assert ranking in rows["annotation_ranking"]
    assert demonstration in rows["annotation_demonstration"]


def test_a_row_that_is_gone_or_changed_is_told() -> None:
    before: Rows = {"a": {"1": {"id": 1, "x": 1, "y": 2}, "2": {"id": 2, "x": 1, "y": 2}}, "b": {}}
    after: Rows = {"a": {"1": {"id": 1, "x": 5, "z": 0}}}
    assert lost(before, after, {}) == ["a 1: x was 1 and is 5", "a 1: y was 2 and is None", "a 2", "b"]
    assert lost(before, after, {"a.x": "scaled", "a.y": "dropped", "b": "merged into a"}) == ["a 2"]
