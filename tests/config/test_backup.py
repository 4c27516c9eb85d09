"""Backups of a world with data in most tables and files of every kind, restored elsewhere or on the spot."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from pytest_django import Settings

from annotation.models import AuditEntry, Project, Ranking, User
from config.backup import BackupError, making, restoring, tables
from config.embedded import locks, postgres
from tests.config.test_up import ROOT
from tests.training.pages.scene import build_scene
from tests.world import make_ranking_item, make_token, rank, taken

FILES = {
    "datasets/1/rankings.jsonl": b'{"a": 1}\n' * 1_000,
    "datasets/1/.rankings.jsonl.part": b"an erasure that goes on\n",
    "imports/3": b"brought\n",
    "models/tiny/model.safetensors": bytes(range(256)) * 9_000,
    "starter/corpus/\N{LATIN SMALL LETTER E WITH ACUTE}.jsonl": b"",
    "secret_key": b"not to be guessed",
    "run/demo_is_built": b"",
}
NOT_KEPT = ("postgres/PG_VERSION", "postgres.password", "broker/messages/1.msg", "run/up.lock", ".restoring-1/new/x")


class Installation:
    """A data folder, and the test's own database beside it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        scene = build_scene()
        make_ranking_item(scene.project, texts=("tab\tnewline\n\\N backslash", "one", "\u202e\u200b", "两"))
        rank(taken(scene.project, scene.people.alice), note="\\. is how COPY ends")
        make_token(scene.people.rosa)
        round = scene.published_round()
        self.done, self.going = round.runs.first(), scene.run(state="running", step=3)
        for name in (f"runs/{self.done.pk}/", f"runs/{self.going.pk}/"):
            self.write(f"{name}model/model.safetensors", b"weights")
            self.write(f"{name}checkpoints/3/state", b"goes on changing")
        for name, content in FILES.items():
            self.write(name, content)
        for name in NOT_KEPT:
            self.write(name, b"of this place alone")

    def write(self, name: str, content: bytes) -> None:
        (self.data / name).parent.mkdir(parents=True, exist_ok=True)
        (self.data / name).write_bytes(content)

    @property
    def files(self) -> dict[str, str]:
        """What is to be kept, with the hash of each."""
        kept = [*FILES, f"runs/{self.done.pk}/model/model.safetensors"]
        return {name: sha256(self.data / name) for name in sorted(kept)}


@pytest.fixture
def here(transactional_db: None, tmp_path: Path, settings: Settings) -> Installation:
    _be_alone()
    settings.DATA = tmp_path / "here"
    return Installation(settings.DATA)


def _be_alone() -> None:
    """Servers of earlier tests keep connections, and nothing is restored while somebody else is at work."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
        )


@pytest.fixture
def backup(here: Installation, tmp_path: Path) -> Path:
    path = tmp_path / "plumbline.zip"
    making.make(path)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents() -> dict[str, str]:
    """Every table's rows, as their hash."""
    return {
        table: hashlib.sha256(b"".join(tables.copy_out(table, tables.columns(table)))).hexdigest()
        for table in tables.kept()
    }


def manage(data: Path, *arguments: str, **named: str) -> subprocess.CompletedProcess[str]:
    """A command of an installation of its own, with its own database server unless another one is named."""
    ours = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY", "TEST_SETTINGS")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment | named | {"PLUMBLINE_DATA": str(data)},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def test_what_is_restored_into_an_empty_place_is_the_same_in_every_table_and_every_file(
    here: Installation, backup: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    done = manage(there, "restore", str(backup))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: sha256(there / name) for name in here.files} == here.files
    again = tmp_path / "again.zip"
    assert manage(there, "backup", str(again)).returncode == 0
    before, after = (json.loads(zipfile.ZipFile(path).read("manifest.json")) for path in (backup, again))
    assert len(before["tables"]) > 30
    assert sum(table["rows"] > 0 for table in before["tables"].values()) > 15
    assert after["tables"] == before["tables"]
    assert after["sequences"] == before["sequences"]
    assert after["files"] == before["files"]
    assert not list(there.glob(".restoring*"))


@contextmanager
def an_external_server(folder: Path) -> Iterator[dict[str, str]]:
    """A second PostgreSQL, reached by URL as a team reaches its own; the environment that names it."""
    with postgres.serving(folder):
        to = {name: quote(str(value), safe="") for name, value in postgres.connection_settings(folder).items()}
        yield {
            "DATABASE_URL": f"postgres://{to['USER']}:{to['PASSWORD']}@{to['HOST']}:{to['PORT']}/{to['NAME']}",
            "SECRET_KEY": "a team's own",
            "PUBLIC_HTTPS": "False",
        }


@pytest.mark.long
def test_a_backup_goes_from_the_embedded_database_to_one_by_url_and_back(
    here: Installation, backup: Path, tmp_path: Path
) -> None:
    theirs, home = tmp_path / "theirs", tmp_path / "home"
    by_url, again = tmp_path / "by-url.zip", tmp_path / "again.zip"
    with an_external_server(tmp_path / "server") as url:
        for command in (("restore", str(backup)), ("backup", str(by_url))):
            done = manage(theirs, *command, **url)
            assert done.returncode == 0, done.stdout + done.stderr
    assert not (theirs / "postgres").exists(), "nothing embedded was started"
    for command in (("restore", str(by_url)), ("backup", str(again))):
        assert manage(home, *command).returncode == 0
    parts = ("tables", "sequences", "files", "migrations")
    first, second, third = (
        {part: json.loads(zipfile.ZipFile(path).read("manifest.json"))[part] for part in parts}
        for path in (backup, by_url, again)
    )
    assert first == second == third
    assert sum(table["rows"] > 0 for table in first["tables"].values()) > 15


def test_a_backup_holds_what_is_kept_and_leaves_out_what_every_start_makes_anew(
    here: Installation, backup: Path
) -> None:
    manifest = json.loads(zipfile.ZipFile(backup).read("manifest.json"))
    assert {name: about["sha256"] for name, about in manifest["files"].items()} == here.files
    assert backup.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in backup.parent.iterdir() if path != here.data] == [backup.name]


def test_a_backup_is_as_of_one_moment_whatever_is_written_meanwhile(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody registers while the files are copied: by another connection, which commits at once."""
    from django.db import connections

    copied = making._add_file

    def copy_slowly(*arguments: Any) -> None:
        if not User.objects.filter(username="late").exists():
            other = connections.create_connection("default")
            try:
                with other.cursor() as cursor:
                    cursor.execute("update annotation_user set first_name = 'changed meanwhile'")
            finally:
                other.close()
        copied(*arguments)

    before = contents()
    monkeypatch.setattr(making, "_add_file", copy_slowly)
    manifest = making.make(tmp_path / "moment.zip")
    assert User.objects.filter(first_name="changed meanwhile").exists()
    assert {name: table["sha256"] for name, table in manifest["tables"].items()} == before


def test_nothing_is_restored_over_data_unless_it_is_given_up(here: Installation, backup: Path) -> None:
    was = contents()
    with pytest.raises(CommandError, match=r"There is data here already: .* --replace\. Nothing was restored"):
        call_command("restore", str(backup))
    assert contents() == was


def test_data_that_is_given_up_makes_place_for_what_the_backup_holds(here: Installation, backup: Path) -> None:
    was = contents()
    Project.objects.update(name="Changed since")
    User.objects.create(username="came-later")
    here.write("datasets/9/rankings.jsonl", b"came later\n")
    here.write("datasets/1/rankings.jsonl", b"damaged\n")
    restoring.restore(backup, replace=True)
    assert contents() == was
    assert {name: sha256(here.data / name) for name in here.files} == here.files
    assert not (here.data / "datasets" / "9").exists()
    assert (here.data / "postgres" / "PG_VERSION").exists()
    assert User.objects.create(username="the-next").pk > User.objects.get(username="charlie").pk
    AuditEntry.objects.create(action="restored", details={})
    with pytest.raises(DatabaseError, match="only ever added to"):
        AuditEntry.objects.all().delete()


def spoilt(backup: Path, change: dict[str, bytes]) -> Path:
    """The backup with other content in some of its parts."""
    path = backup.with_name("spoilt.zip")
    with zipfile.ZipFile(backup) as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            archive.writestr(name, change.get(name, whole.read(name)))
    return path


def test_a_backup_that_is_spoilt_changes_nothing(here: Installation, backup: Path) -> None:
    rows = zipfile.ZipFile(backup).read("tables/annotation_user")
    for change, why in (
        (
            {"tables/annotation_user": rows.replace(b"alice", b"mallory")},
            "annotation_user in the backup has the sha256",
        ),
        ({"files/datasets/1/rankings.jsonl": b"other"}, "rankings.jsonl in the backup has the sha256"),
        ({"manifest.json": b'{"format": 99}'}, "format 99"),
        ({"manifest.json": b"no JSON"}, "no backup"),
    ):
        was, files = contents(), here.files
        with pytest.raises(BackupError, match=why):
            restoring.restore(spoilt(backup, change), replace=True)
        assert (contents(), here.files) == (was, files)
        assert not list(here.data.glob(".restoring-*/new/datasets"))


def test_a_backup_that_was_cut_short_or_is_none_is_refused(here: Installation, backup: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.zip"
    short.write_bytes(backup.read_bytes()[:-400])
    for path, why in ((short, "no whole backup"), (tmp_path / "none.zip", "There is no file")):
        with pytest.raises(BackupError, match=why):
            restoring.restore(path, replace=True)


def test_a_backup_never_writes_outside_of_the_data_folder(here: Installation, backup: Path, tmp_path: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(backup).read("manifest.json"))
    for name in ("../escaped", "/tmp/escaped", "datasets/../../escaped"):
        manifest["files"] = {name: {"bytes": 1, "sha256": "0" * 64}}
        with pytest.raises(BackupError, match="outside of the data folder"):
            restoring.restore(spoilt(backup, {"manifest.json": json.dumps(manifest).encode()}), replace=True)
    assert not list(tmp_path.rglob("escaped"))


def test_a_backup_of_a_newer_version_is_refused(here: Installation, backup: Path) -> None:
    manifest = json.loads(zipfile.ZipFile(backup).read("manifest.json"))
    manifest["migrations"].append(["annotation", "9999_of_next_year"])
    with pytest.raises(BackupError, match=r"annotation\.9999_of_next_year, which this one does not know"):
        restoring.restore(spoilt(backup, {"manifest.json": json.dumps(manifest).encode()}), replace=True)


def test_a_backup_made_before_the_last_migrations_is_brought_up_to_date(here: Installation, tmp_path: Path) -> None:
    """As an upgrade does it: the tables as they were then, the rows, and the migrations that came since."""
    rankings, latest = Ranking.objects.count(), tables.migrations()
    try:
        call_command("migrate", "annotation", "0012", verbosity=0)
        older = making.make(tmp_path / "older.zip")
    finally:
        call_command("migrate", verbosity=0)
    assert ("annotation", "0013_origins") not in older["migrations"]
    Project.objects.update(name="Changed since")
    restoring.restore(tmp_path / "older.zip", replace=True)
    assert tables.migrations() == latest
    assert Ranking.objects.count() == rankings > 0
    assert not Project.objects.filter(name="Changed since").exists()


def test_nothing_is_restored_while_plumbline_runs(here: Installation, backup: Path) -> None:
    (here.data / "run" / "up.lock").write_text("http://localhost:8000/ (process 7)")
    with locks.held_or_refused(here.data / "run" / "up.lock"), pytest.raises(BackupError, match="localhost:8000"):
        restoring.restore(backup, replace=True)


def test_a_backup_is_written_whole_or_not_at_all(
    here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making, "_add_table", full)
    with pytest.raises(OSError, match="No space"):
        making.make(tmp_path / "plumbline.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_backup_never_writes_over_a_file_nor_into_what_it_copies(here: Installation, backup: Path) -> None:
    for path, why in (
        (backup, "already"),
        (here.data / "b.zip", "lies in the data folder"),
        (Path("/no/b.zip"), "folder"),
    ):
        with pytest.raises(CommandError, match=why):
            call_command("backup", str(path))
