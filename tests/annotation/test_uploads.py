"""Files on their way into a project: looked through, then imported by a worker; nothing happens twice or by half."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone, translation

from annotation import importing, passes, uploads
from annotation.importing import IMPORT_LOCK
from annotation.models import Prompt, Upload, UploadState
from annotation.refusals import Refused
from tests.annotation.test_api import Api
from tests.world import World

GOOD, BAD = {"prompt": "One?"}, {"riddle": "?"}


def received(world: World, *rows: Any, kind: str = "instructions", **options: Any) -> Upload:
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    return uploads.receive(
        world.project, kind, SimpleUploadedFile("rows.jsonl", lines.encode()), user=world.ada, **options
    )


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is one for the worker."""
    monkeypatch.setattr("annotation.models.uploads.SMALL", 0)


def test_a_small_file_is_looked_through_at_once_and_nothing_is_written(world: World) -> None:
    upload = received(world, GOOD, BAD, {"prompt": "Two?"})
    assert (upload.state, upload.good, upload.bad) == (UploadState.CHECKED, 2, 1)
    assert [(row["line"], row["messages"][0]["content"]) for row in upload.sample] == [(1, "One?"), (3, "Two?")]
    assert upload.errors[0][0] == 2
    assert not Prompt.objects.exists()


def test_the_reason_why_a_line_is_bad_is_short_though_it_quotes_what_is_long(world: World) -> None:
    """Of a thousand lines the reasons are kept, each of which may quote eight megabytes."""
    long = "x" * 50_000
    upload = received(world, {long: 1}, {"prompt": [{"role": long, "content": "?"}]})
    reasons = [reason for _line, reason in upload.errors]
    assert [reason[:20] for reason in reasons] == ["There is no “prompt”", "A message's role is "]
    assert max(map(len, reasons)) <= importing.LONGEST_REASON + 1


def test_what_was_decided_beforehand_follows_at_once(world: World) -> None:
    assert received(world, GOOD, BAD, keep_good=True).rows == 1
    refused = received(world, {"prompt": "Two?"}, BAD, keep_good=False)
    assert (refused.state, refused.rows, Prompt.objects.count()) == (UploadState.CHECKED, 0, 1)


def test_a_file_with_bad_lines_takes_a_word_for_the_good_ones(world: World) -> None:
    upload = received(world, GOOD, BAD)
    with pytest.raises(Refused, match="bring it again"):
        uploads.confirm(upload, keep_good=False)
    assert uploads.confirm(upload, keep_good=True).state == UploadState.DONE


def test_a_large_file_waits_for_a_worker_at_each_step(world: World, large: None) -> None:
    upload = received(world, GOOD)
    assert upload.state == UploadState.RECEIVED
    uploads.carry_on(upload.pk)
    upload.refresh_from_db()
    assert uploads.confirm(upload, keep_good=False).state == UploadState.CONFIRMED
    assert not Prompt.objects.exists()
    for _message_comes_twice in range(2):
        uploads.carry_on(upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.rows, upload.repeats) == (UploadState.DONE, 1, 0)


def test_the_file_is_gone_once_it_is_imported_or_discarded(world: World) -> None:
    kept = received(world, GOOD)
    assert kept.path.exists()
    uploads.confirm(kept, keep_good=False)
    unwanted = received(world, GOOD)
    uploads.discard(unwanted)
    assert not Upload.objects.filter(pk=unwanted.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_the_imported_file_is_removed_with_the_commit(world: World) -> None:
    upload = received(world, GOOD)
    uploads.confirm(upload, keep_good=False)
    assert not upload.path.exists()


def test_a_name_of_the_sender_never_becomes_a_path(world: World) -> None:
    file = SimpleUploadedFile("x.jsonl", b"{}")
    file._name = "../../../etc/passwd.jsonl"
    upload = uploads.receive(world.project, "instructions", file, user=world.ada)
    assert upload.path.name == str(upload.pk)
    assert upload.path.parent.name == "imports"


def test_the_reasons_are_in_the_language_of_whoever_brought_the_file(world: World, large: None) -> None:
    with translation.override("zh-hans"):
        upload = received(world, GOOD)
    assert upload.language == "zh-hans"


def test_a_worker_that_fails_says_so_and_nothing_is_written(
    world: World, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = received(world, GOOD)
    upload.path.unlink()
    with pytest.raises(FileNotFoundError):
        uploads.carry_on(upload.pk)
    upload.refresh_from_db()
    assert upload.state == UploadState.FAILED
    assert "FileNotFoundError" in upload.failure
    uploads.carry_on(upload.pk)  # a message that came late does nothing


def test_how_far_a_pass_is_can_be_seen_before_it_ends(
    world: World, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH", 2)
    seen: list[int] = []
    upload = received(world, *({"prompt": f"{number}?"} for number in range(5)))
    tell = passes.tell

    def told(upload: Upload, begun: int, lines: int) -> bool:
        goes_on = tell(upload, begun, lines)
        seen.append(passes.sign(upload).lines)
        return goes_on

    monkeypatch.setattr(passes, "tell", told)
    assert passes.sign(upload) is None
    uploads.carry_on(upload.pk)
    assert seen == [0, 2, 4]
    assert passes.sign(upload) is None


class TestStopping:
    @pytest.fixture
    def stops_after_two(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Somebody wants the import to stop once two lines of it are read."""
        monkeypatch.setattr(importing, "BATCH", 2)
        tell = passes.tell

        def told(upload: Upload, begun: int, lines: int) -> bool:
            if upload.state == UploadState.CONFIRMED and lines == 2:
                passes.ask_to_stop(upload)
            return tell(upload, begun, lines)

        monkeypatch.setattr(passes, "tell", told)

    @pytest.mark.parametrize(("keep_good", "stay"), [(True, 2), (False, 0)])
    def test_what_was_imported_before_stays_where_good_lines_alone_were_wanted(
        self, world: World, stops_after_two: None, *, keep_good: bool, stay: int
    ) -> None:
        upload = received(world, *({"prompt": f"{number}?"} for number in range(5)), keep_good=keep_good)
        assert (upload.state, upload.rows) == (UploadState.STOPPED, stay)
        assert Prompt.objects.count() == stay

    def test_begun_again_the_rest_comes_in_and_nothing_twice(
        self, world: World, stops_after_two: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = received(world, *({"prompt": f"{number}?"} for number in range(5)), keep_good=True)
        monkeypatch.undo()
        again = uploads.begin_again(upload)
        assert (again.state, again.rows, again.repeats) == (UploadState.DONE, 5, 0)
        assert Prompt.objects.count() == 5

    def test_stopped_once_more_it_still_says_what_it_has_brought(self, world: World, stops_after_two: None) -> None:
        upload = received(world, *({"prompt": f"{number}?"} for number in range(5)), keep_good=True)
        again = uploads.begin_again(upload)
        assert (again.state, again.rows, again.repeats) == (UploadState.STOPPED, 2, 0)
        assert Prompt.objects.count() == 2

    def test_what_nobody_is_at_stops_at_once_and_no_worker_begins_it(self, world: World, large: None) -> None:
        upload = received(world, GOOD, keep_good=True)
        uploads.stop(upload)
        uploads.carry_on(upload.pk)
        upload.refresh_from_db()
        assert upload.state == UploadState.STOPPED
        with pytest.raises(Refused, match="not being worked on"):
            uploads.stop(upload)

    def test_asked_for_while_a_worker_dies_the_next_one_stops_before_it_begins(self, world: World, large: None) -> None:
        upload = received(world, GOOD, keep_good=True)
        passes.begin(upload)
        passes.ask_to_stop(upload)
        uploads.carry_on(upload.pk)
        upload.refresh_from_db()
        assert (upload.state, upload.rows) == (UploadState.STOPPED, 0)


def test_a_file_in_the_middle_of_which_workers_die_is_given_up(world: World, large: None) -> None:
    upload = received(world, GOOD, keep_good=True)
    for _death in range(uploads.MOST_BEGUN):
        passes.begin(upload)
    uploads.carry_on(upload.pk)
    upload.refresh_from_db()
    assert (upload.state, Prompt.objects.count()) == (UploadState.FAILED, 0)
    assert "ended in the middle of it 3 times" in upload.failure
    uploads.begin_again(upload)
    uploads.carry_on(upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.rows) == (UploadState.DONE, 1)


def test_the_sweep_reminds_of_what_waits_and_forgets_what_nobody_confirmed(
    world: World, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, forgotten = received(world, GOOD), received(world, GOOD)
    uploads.carry_on(forgotten.pk)
    Upload.objects.filter(pk=forgotten.pk).update(changed_at=timezone.now() - timedelta(days=3))
    sent: list[tuple[str, int]] = []
    monkeypatch.setattr(uploads, "nudge", lambda task, pk: sent.append((task, pk)))
    uploads.sweep()
    assert sent == [("annotation.tasks.carry_on", waiting.pk)]
    assert [upload.pk for upload in Upload.objects.all()] == [waiting.pk]


@pytest.mark.django_db(transaction=True)
def test_what_somebody_is_at_is_left_alone_and_two_imports_of_a_project_follow_each_other(
    world: World, large: None
) -> None:
    import psycopg

    upload = received(world, GOOD, keep_good=False)
    settings = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: settings[name] for name in names if name in settings}) as other:
        other.execute("select 1 from annotation_upload where id = %s for update", [upload.pk])
        uploads.carry_on(upload.pk)
        with pytest.raises(Refused, match="worked on"):
            uploads.discard(upload)
        other.rollback()
        other.execute("select pg_advisory_lock(%s::int, %s::int)", [IMPORT_LOCK, world.project.pk])
        uploads.carry_on(upload.pk)
        upload.refresh_from_db()
        assert upload.state == UploadState.CONFIRMED
    uploads.carry_on(upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.rows) == (UploadState.DONE, 1)


class TestApi:
    WHERE = "projects/capitals/import/instructions/"

    def test_a_file_is_looked_through_first_and_confirmed(self, world: World) -> None:
        api = Api(world.ada)
        seen = api.upload(self.WHERE, '{"prompt": "One?"}\nnot json\n', preview=True).json()
        assert (seen["state"], seen["good"], seen["bad"], seen["rows"]) == ("checked", 1, 1, 0)
        assert [error["line"] for error in seen["errors"]] == [2]
        assert seen["sample"][0]["messages"] == [{"role": "user", "content": "One?"}]
        path = f"projects/capitals/imports/{seen['id']}/"
        assert api.post(f"{path}confirm/").status_code == 409
        assert api.post(f"{path}confirm/", keep_good=True).json()["rows"] == 1
        assert api.get(path).json()["state"] == "done"
        assert api.client.delete(f"/api/v1/{path}").status_code == 409

    def test_a_large_file_is_accepted_and_its_address_says_how_far_it_is(self, world: World, large: None) -> None:
        api = Api(world.ada)
        answer = api.upload(self.WHERE, '{"prompt": "One?"}\n')
        assert (answer.status_code, answer.json()["state"]) == (202, "received")
        uploads.carry_on(answer.json()["id"])
        assert api.get(f"projects/capitals/imports/{answer.json()['id']}/").json()["rows"] == 1

    def test_a_file_is_stopped_and_begun_again(self, world: World, large: None) -> None:
        api = Api(world.ada)
        brought = api.upload(self.WHERE, '{"prompt": "One?"}').json()
        path = f"projects/capitals/imports/{brought['id']}/"
        assert api.post(f"{path}stop/").json()["state"] == "stopped"
        assert api.post(f"{path}stop/").status_code == 409
        again = api.post(f"{path}again/")
        assert (again.status_code, again.json()["state"]) == (202, "received")

    def test_a_file_is_there_for_admins_alone_and_can_be_forgotten(self, world: World) -> None:
        path = f"projects/capitals/imports/{received(world, GOOD).pk}/"
        for person, expected in ((world.rosa, 403), (world.alice, 403), (world.charlie, 404)):
            assert Api(person).get(path).status_code == expected
            for verb in ("confirm", "stop", "again"):
                assert Api(person).post(f"{path}{verb}/").status_code == expected
            assert Api(person).client.delete(f"/api/v1/{path}").status_code == expected
        assert Api(world.ada).client.delete(f"/api/v1/{path}").status_code == 204
        assert not Upload.objects.exists()


def test_only_so_many_files_of_a_project_wait(world: World) -> None:
    for _number in range(uploads.MOST_HELD):
        received(world, BAD)
    with pytest.raises(Refused, match="20 files wait"):
        received(world, GOOD)
    assert Upload.objects.count() == uploads.MOST_HELD
    uploads.discard(world.project.uploads.first())
    assert received(world, GOOD, keep_good=True).state == UploadState.DONE


def test_a_body_that_is_too_large_is_refused_before_it_is_read(world: World, settings: Any) -> None:
    settings.MAX_UPLOAD_SIZE = settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
    api, large = Api(world.ada), "x" * 2 * 1024 * 1024
    refused = api.upload("projects/capitals/import/instructions/", large)
    assert (refused.status_code, refused.json()["detail"]) == (413, "At most 1 MB are read at once.")
    assert api.client.patch("/api/v1/projects/capitals/", large, content_type="application/json").status_code == 413
    page = api.client.post("/projects/capitals/import/", {"file": SimpleUploadedFile("a.csv", large.encode())})
    assert (page.status_code, "At most 1 MB" in page.content.decode()) == (413, True)
    settings.MAX_UPLOAD_SIZE = 4 * 1024 * 1024
    stranger = Client().post("/account/login/", {"login": "ada", "file": SimpleUploadedFile("a.csv", large.encode())})
    assert (stranger.status_code, "At most 1 MB" in stranger.content.decode()) == (413, True)
    ada = Client()
    ada.force_login(world.ada)
    brought = {"kind": "instructions", "file": SimpleUploadedFile("a.csv", large.encode())}
    assert ada.post("/projects/capitals/import/", brought).status_code == 302
    assert api.upload("projects/capitals/import/instructions/", large).status_code == 202
    assert api.client.patch("/api/v1/projects/capitals/", large, content_type="application/json").status_code == 413
