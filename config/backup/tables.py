"""Our tables in the database: which there are, out by COPY, in by COPY."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from psycopg.sql import SQL, Composed, Identifier

from config.backup import BackupError

Migration = tuple[str, str]


def ours() -> list[str]:
    """The tables that there are of our applications, by their names: also of models that are no more."""
    with connection.cursor() as cursor:
        found = connection.introspection.table_names(cursor)
    return sorted(name for name in found if name.startswith(_beginnings()))


def kept() -> list[str]:
    """Those that a backup holds: what is unlogged may be lost at any time."""
    logged = _column("select relname::text from pg_class where relkind = 'r' and relpersistence = 'p'")
    return sorted({*ours()} & {*logged})


def columns(table: str) -> list[str]:
    """Those that hold something; what the database works out by itself is left to it."""
    return _column(
        "select column_name from information_schema.columns where table_schema = current_schema() and table_name = %s "
        "and is_generated = 'NEVER' order by ordinal_position",
        table,
    )


def sequences() -> dict[str, int]:
    """Where each stands that has begun. Read after the rows, it is never behind them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select sequencename, last_value from pg_sequences where schemaname = current_schema() "
            "and last_value is not null order by 1"
        )
        return dict(cursor.fetchall())


def copy_out(table: str, names: Iterable[str]) -> Iterator[bytes]:
    with connection.cursor() as cursor, cursor.copy(_copy(table, names) + SQL("to stdout")) as copy:
        for chunk in copy:
            yield bytes(chunk)


def copy_in(table: str, names: Iterable[str], chunks: Iterable[bytes]) -> None:
    with connection.cursor() as cursor, cursor.copy(_copy(table, names) + SQL("from stdin")) as copy:
        for chunk in chunks:
            copy.write(chunk)


def migrations() -> list[Migration]:
    """Those that the database has been through."""
    return sorted(MigrationRecorder(connection).applied_migrations())


def check_known(applied: Iterable[Migration]) -> None:
    known = MigrationExecutor(connection).loader.disk_migrations.keys()
    if unknown := sorted(set(applied) - known):
        raise BackupError(
            f"The backup was made by another version: it has been through {'.'.join(unknown[0])}, which this one does "
            "not know. Install the version of Plumbline that made it, or a later one."
        )


def make(applied: Iterable[Migration]) -> None:
    """In place of all that is ours empty tables, as they were after these migrations."""
    _drop()
    executor = MigrationExecutor(connection)
    executor.migrate(_last_of_each(set(applied), executor))
    with connection.cursor() as cursor:
        for table in ours():
            cursor.execute(SQL("delete from {}").format(Identifier(table)))  # what migrations have put there
        cursor.execute("set constraints all immediate")
        cursor.execute("set constraints all deferred")


def settle(stood: dict[str, int]) -> None:
    """Once all is loaded: have every constraint looked at, and the sequences go on from where they stood."""
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        for name, value in stood.items():
            cursor.execute("select setval(%s::regclass, %s)", [connection.ops.quote_name(name), value])


def rows_of_people() -> dict[str, int]:
    """How many rows hold what somebody made: of all tables but those that migrating fills."""
    filled = {"django_content_type", "auth_permission", MigrationRecorder.Migration._meta.db_table}
    with connection.cursor() as cursor:
        found = {}
        for table in set(kept()) - filled:
            cursor.execute(SQL("select count(*) from {}").format(Identifier(table)))
            found[table] = cursor.fetchone()[0]
    return {table: count for table, count in found.items() if count}


def others_at_work() -> int:
    """How many connections there are to the database beside this one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
            "and backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])


def _drop() -> None:
    """Tables, and the functions that migrations have made, which bear an application's name."""
    functions = _column(
        "select oid::regprocedure::text from pg_proc where pronamespace = current_schema()::regnamespace "
        "and proname::text ^@ any(%s)",
        list(_beginnings()),
    )
    with connection.cursor() as cursor:
        for table in ours():
            cursor.execute(SQL("drop table {} cascade").format(Identifier(table)))
        for function in functions:
            cursor.execute(f"drop function {function}")


def _last_of_each(applied: set[Migration], executor: MigrationExecutor) -> list[Migration]:
    """Of each application those migrations that no other one of it follows."""
    nodes = executor.loader.graph.node_map
    return [
        key
        for key in sorted(applied)
        if not any(child.key in applied and child.key[0] == key[0] for child in nodes[key].children)
    ]


def _beginnings() -> tuple[str, ...]:
    return ("django_", *(f"{config.label}_" for config in apps.get_app_configs()))


def _column(query: str, *values: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [row[0] for row in cursor.fetchall()]


def _copy(table: str, names: Iterable[str]) -> Composed:
    return SQL("copy {} ({}) ").format(Identifier(table), SQL(", ").join(map(Identifier, names)))
