"""Large files in the hands of a real worker: stopped in the middle, killed in the middle."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from annotation import passes, uploads
from annotation.models import Prompt, Upload, UploadState
from tests.processes import wait_for, worker
from tests.world import World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

LINES = 40_000


@pytest.fixture
def upload(world: World) -> Iterator[Upload]:
    """A large file, looked through and waiting for a word."""
    lines = "".join(f"{json.dumps({'prompt': f'What is {number} and {number}?'})}\n" for number in range(LINES))
    file = SimpleUploadedFile("rows.jsonl", lines.encode())
    made = uploads.receive(world.project, "instructions", file, user=world.ada)
    uploads.carry_on(made.pk)
    made.refresh_from_db()
    assert (made.state, made.good) == (UploadState.CHECKED, LINES)
    yield made
    uploads._clear(made)


def in_the_middle(upload: Upload) -> bool:
    sign = passes.sign(upload)
    return sign is not None and 2_000 < sign.lines < LINES // 2


def is_in_state(upload: Upload, state: UploadState) -> bool:
    upload.refresh_from_db()
    return upload.state == state


def swept_into(upload: Upload, state: UploadState) -> bool:
    """As the clock does it: what waits is sent again and again."""
    uploads.sweep()
    return is_in_state(upload, state)


@pytest.mark.parametrize("keep_good", [True, False])
def test_an_import_is_stopped_while_it_runs_and_what_it_says_is_what_is_there(
    upload: Upload, *, keep_good: bool
) -> None:
    with worker(queues="default"):
        uploads.confirm(upload, keep_good=keep_good)
        wait_for(lambda: in_the_middle(upload), every=0.01)
        uploads.stop(upload)
        wait_for(lambda: is_in_state(upload, UploadState.STOPPED), seconds=30)
    assert Prompt.objects.count() == upload.rows
    assert 0 < upload.rows < LINES if keep_good else upload.rows == 0


def test_a_worker_killed_in_the_middle_leaves_nothing_and_the_next_one_imports_all_of_it_once(upload: Upload) -> None:
    with worker(queues="default") as doomed:
        uploads.confirm(upload, keep_good=True)
        wait_for(lambda: in_the_middle(upload), every=0.01)
        doomed.kill()
        doomed.wait()
    wait_for(lambda: not others_at_work(), seconds=30)
    assert Prompt.objects.count() == 0
    with worker(queues="default"):
        wait_for(lambda: swept_into(upload, UploadState.DONE), seconds=120, every=2)
    assert (upload.rows, upload.repeats, Prompt.objects.count()) == (LINES, 0, LINES)


def test_a_file_that_kills_every_worker_is_given_up(upload: Upload) -> None:
    uploads.confirm(upload, keep_good=True)
    for death in range(1, uploads.MOST_BEGUN + 1):
        with worker(queues="default") as doomed:
            uploads.sweep()
            wait_for(lambda death=death: begun(upload) == death and in_the_middle(upload), every=0.01)
            doomed.kill()
            doomed.wait()
        wait_for(lambda: not others_at_work(), seconds=30)
    with worker(queues="default"):
        wait_for(lambda: swept_into(upload, UploadState.FAILED), seconds=30, every=2)
    assert "ended in the middle" in upload.failure
    assert Prompt.objects.count() == 0


def begun(upload: Upload) -> int:
    sign = passes.sign(upload)
    return sign.begun if sign else 0


def others_at_work() -> bool:
    """Whether the database still works for somebody else: it notices the death of a client at its next word."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select exists (select from pg_stat_activity where datname = current_database() "
            "and pid <> pg_backend_pid() and state <> 'idle')"
        )
        return bool(cursor.fetchone()[0])
