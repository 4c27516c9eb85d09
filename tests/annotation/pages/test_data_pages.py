from __future__ import annotations

import json
import os
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from annotation import passes, uploads
from annotation.models import Prompt, Upload
from tests.annotation.pages.conftest import SignIn
from tests.world import World, make_ranking_item, rank, taken

PROJECT = "/projects/capitals/"
GOOD, BAD = '{"prompt": "Name a river."}', '{"riddle": "?"}'


def upload(*lines: str, **values: str) -> dict[str, object]:
    return {"kind": "instructions", "file": SimpleUploadedFile("rows.jsonl", "\n".join(lines).encode()), **values}


def looked_at(client: Client, *lines: str) -> tuple[str, str]:
    """The page of a file that was looked through: its address and its text."""
    answer = client.post(f"{PROJECT}import/", upload(*lines))
    assert answer.status_code == 302
    return answer["Location"], client.get(answer["Location"]).content.decode()


def test_a_file_is_shown_as_it_was_understood_and_imported_by_one_confirmation(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.ada)
    path, page = looked_at(client, GOOD, '{"instruction": "Translate.", "input": "Bonjour"}')
    assert "Name a river." in page
    assert "Translate.\n\nBonjour" in page
    assert not Prompt.objects.exists()
    for _sent_twice in range(2):
        page = client.post(f"{path}confirm/", follow=True).content.decode()
    assert "2 rows were imported." in page
    assert Prompt.objects.count() == 2


def test_a_bad_line_is_named_by_number_and_keeps_all_lines_out(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.ada)
    path, page = looked_at(client, GOOD, BAD)
    assert '<td class="number">2</td><td>There is no “prompt”' in page
    assert "bring it again" in client.post(f"{path}confirm/", follow=True).content.decode()
    assert not Prompt.objects.exists()


def test_the_good_lines_come_in_where_asked_for(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.ada)
    path, page = looked_at(client, GOOD, BAD)
    assert "Import the 1 good line" in page
    page = client.post(f"{path}confirm/", {"keep_good": "yes"}, follow=True).content.decode()
    assert "1 row was imported." in page
    assert "1 line could not be used." in page
    assert Prompt.objects.get().text == "Name a river."


def test_a_file_that_nobody_wants_is_forgotten(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.ada)
    path, _page = looked_at(client, GOOD)
    assert "was not imported" in client.post(f"{path}discard/", follow=True).content.decode()
    assert client.get(path).status_code == 404


def test_a_file_is_there_for_the_admins_of_its_project_alone(world: World, sign_in: SignIn) -> None:
    path, _page = looked_at(sign_in(world.ada), GOOD)
    for person, expected in ((world.rosa, 403), (world.alice, 403), (world.charlie, 404)):
        assert sign_in(person).get(path).status_code == expected
        for verb in ("confirm", "stop", "again"):
            assert sign_in(person).post(f"{path}{verb}/").status_code == expected
    assert sign_in(world.charlie).get(path.replace("capitals", "next-door")).status_code == 404


def test_a_large_file_is_left_to_a_worker_and_the_page_says_how_far_it_is(
    world: World, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.models.uploads.SMALL", 0)
    client = sign_in(world.ada)
    path, page = looked_at(client, GOOD, GOOD)
    assert "It waits for a worker." in page
    assert "Nobody has begun" not in page
    Upload.objects.update(changed_at=timezone.now() - timedelta(minutes=2))
    assert "Nobody has begun" in client.get(path).content.decode()
    waiting = Upload.objects.get()
    uploads.carry_on(waiting.pk)
    part = client.get(f"{path}?phase=received", headers={"hx-request": "true"})
    assert part["HX-Refresh"] == "true"
    assert "Import 2 lines" in client.get(path).content.decode()


def test_a_running_import_is_stopped_from_its_page_which_says_what_became_of_it(
    world: World, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.models.uploads.SMALL", 0)
    client = sign_in(world.ada)
    path, _page = looked_at(client, GOOD, GOOD)
    assert (
        "It was stopped. Nothing of it is in the project." in client.post(f"{path}stop/", follow=True).content.decode()
    )
    assert "It waits for a worker." in client.post(f"{path}again/", follow=True).content.decode()
    upload = Upload.objects.get()
    passes.begin(upload)
    passes.ask_to_stop(upload)
    assert "It stops after the next few lines." in client.get(path).content.decode()
    progress = passes._progress(upload)
    os.utime(progress, (0, 0))
    passes._stop(upload).unlink()
    assert "no sign of its worker" in client.get(path).content.decode()
    Upload.objects.update(state="stopped", rows=3)
    assert "3 rows that were imported before stay" in client.get(path).content.decode()
    Upload.objects.update(state="failed", failure="OSError: gone")
    page = client.get(path).content.decode()
    assert "3 rows that were imported before stay" in page
    assert "Nothing was changed" not in page
    Upload.objects.update(rows=0)
    assert "Nothing was changed" in client.get(path).content.decode()


def test_a_file_of_an_unknown_format_is_refused_with_what_to_do(world: World, sign_in: SignIn) -> None:
    sent = {"kind": "instructions", "file": SimpleUploadedFile("rows.xlsx", b"PK")}
    page = sign_in(world.ada).post(f"{PROJECT}import/", sent, follow=True).content.decode()
    assert ".jsonl, .csv or .parquet" in page
    assert "There is nothing to import." in page


def test_the_export_page_counts_and_links_every_file_and_each_downloads(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    rank(taken(world.project, world.alice))
    client = sign_in(world.rosa)
    page = client.get(f"{PROJECT}export/").content.decode()
    for kind in ("instructions", "demonstrations", "rankings", "comparisons"):
        for form in ("jsonl", "csv", "parquet"):
            path = f"{PROJECT}export/{kind}.{form}"
            assert f'href="{path}"' in page
            answer = client.get(path)
            assert f"capitals-{kind}.{form}" in answer["Content-Disposition"]
            assert b"".join(answer.streaming_content) or kind == "demonstrations"
    rows = b"".join(client.get(f"{PROJECT}export/comparisons.jsonl").streaming_content).splitlines()
    assert len(rows) == 6
    assert {"prompt", "chosen", "rejected"} <= json.loads(rows[0]).keys()
    assert client.get(f"{PROJECT}export/secrets.jsonl").status_code == 404
