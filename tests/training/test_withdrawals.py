"""After an erasure nothing of the person is left, in the database or in files; what used it says so."""

from __future__ import annotations

import json
import shutil
import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone

from annotation import appeals, erasing, membership, reviewing, uploads, withdrawing
from annotation.assignment import take
from annotation.collection import improve, save_draft, submit_demonstration, submit_instruction
from annotation.models import (
    ApiToken,
    Assignment,
    AuditEntry,
    Demonstration,
    ItemKind,
    Membership,
    PayRate,
    Prompt,
    Ranking,
    ReviewState,
    Role,
    User,
    WorkKind,
)
from annotation.refusals import Refused
from tests.training.pages.scene import Scene, build_scene
from tests.world import PASSWORD, answer, make_prompt, make_ranking_item, rank, taken
from training import withdrawals
from training.algorithms.event_files import NAME, whole_events
from training.algorithms.run_folder import Run
from training.curves import metrics
from training.datasets import DatasetError, freeze, verify
from training.models import Dataset, Policy, RewardModel, Stage, TrainingRun
from training.registry import register_policy

MARK = "zanzibarquux"


@pytest.fixture
def scene(db: Any) -> Scene:
    return build_scene()


@pytest.fixture(autouse=True)
def _no_files_left() -> Any:
    yield
    for name in ("datasets", "runs", "imports"):
        shutil.rmtree(Path(settings.DATA) / name, ignore_errors=True)


@pytest.fixture
def mara(scene: Scene) -> User:
    """Somebody who did a bit of everything, and left a word of her own everywhere."""
    project = scene.project
    type(project).objects.update(instructions_wanted=99, demonstrations_per_prompt=2)
    project.refresh_from_db()
    mara = User.objects.create_user(f"mara.{MARK}", email=f"{MARK}@example.org", password=PASSWORD)
    for role in (Role.ANNOTATOR, Role.REVIEWER):
        Membership.objects.create(project=project, user=mara, role=role)
    others = make_prompt(project, "Name a river of Europe.")
    make_ranking_item(project, prompt=others, priority=9)
    piece = taken(project, mara, ItemKind.RANKING)
    rank(piece, note=f"a note {MARK}")
    improve(piece, completion=piece.shown[0], text=f"The edit {MARK}")
    Ranking.objects.filter(assignment=piece).update(review=ReviewState.REJECTED)
    appeals.appeal(piece, text=f"An appeal {MARK}")
    piece = taken(project, mara, ItemKind.DEMONSTRATION)
    submit_demonstration(piece, client_key=uuid.uuid4(), text=f"An answer {MARK}")
    piece = taken(project, mara, ItemKind.INSTRUCTION)
    messages = [{"role": "user", "content": f"An instruction {MARK}"}]
    prompt = submit_instruction(
        piece, client_key=uuid.uuid4(), messages=messages, kind="plain", use_case="other", language="en"
    )
    make_ranking_item(project, prompt=prompt, texts=(f"You said {MARK}", "What?"), priority=9)
    rank(taken(project, scene.people.bob, ItemKind.RANKING), note=f"She said {MARK}")
    mine = take(project, scene.people.bob, kinds=[ItemKind.DEMONSTRATION])
    while mine is not None and mine.item.prompt_id != prompt.pk:
        answer(mine)
        mine = take(project, scene.people.bob, kinds=[ItemKind.DEMONSTRATION])
    assert mine is not None
    answer(mine, f"{MARK}, indeed")
    make_prompt(project, "Name a lake.")
    save_draft(taken(project, mara, ItemKind.DEMONSTRATION), {"text": f"A draft {MARK}"})
    others_answer = Demonstration.objects.filter(author=scene.people.bob).earliest("pk")
    reviewing.decide(
        project, reviewer=mara, kind=WorkKind.DEMONSTRATION, pieces=[others_answer.pk], state=ReviewState.REJECTED,
        reason=f"A reason {MARK}",
    )  # fmt: skip
    invitation, _secret = membership.invite(project, by=scene.people.ada, name=f"For {MARK}", roles=[Role.RESEARCHER])
    membership.join(invitation, mara)
    membership.pay(project, mara, by=scene.people.ada, amount=Decimal(20), per="hour")
    brought = json.dumps({"prompt": f"Whoever brought this is {MARK}"}).encode()
    uploads.receive(project, "instructions", SimpleUploadedFile(f"{MARK}.jsonl", brought), user=mara)
    ApiToken.issue(mara, name=f"token {MARK}", lifetime=timedelta(days=1))
    browser = Client()
    browser.force_login(mara)
    browser.post("/account/tokens/", {"name": f"another {MARK}", "days": 3})
    LogEntry.objects.create(
        user=scene.people.ada, content_type=ContentType.objects.get_for_model(User), object_id=mara.pk,
        object_repr=str(mara), action_flag=CHANGE, change_message="",
    )  # fmt: skip
    return mara


def run_on(scene: Scene, dataset: Dataset) -> TrainingRun:
    """A run that has ended and left what runs leave: prompts, samples, looks at samples, checkpoints."""
    rows = [json.loads(line) for line in (dataset.folder / "instructions.jsonl").read_text().splitlines()]
    run = scene.run(Stage.PPO, dataset=dataset, state="succeeded", started_at=timezone.now(), inputs={"prompts": rows})
    (run.folder / "given").mkdir(parents=True)
    (run.folder / "checkpoints").mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    left = (
        "given/prompts.jsonl", "samples.jsonl", "best_of_n.jsonl", "samples.partial.jsonl", "fixed_samples.jsonl",
        "checkpoints/one",
    )  # fmt: skip
    for name in left:
        (run.folder / name).write_text(lines)
    return run


def model_of(scene: Scene, run: TrainingRun, name: str, *, path: str = "", **values: Any) -> Policy:
    policy = register_policy(scene.project, name=name, source="x/y", **values)
    Policy.objects.filter(pk=policy.pk).update(run=run, path=path)
    policy.refresh_from_db()
    return policy


def rows_with(word: str) -> list[str]:
    """Tables of the database that hold the word anywhere."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'select count(*) from "{table}" each where each::text ilike %s', [f"%{word}%"])
            if cursor.fetchone()[0]:
                found.append(table)
    return found


def files_with(word: str) -> list[str]:
    folders = [Path(settings.DATA) / name for name in ("datasets", "runs", "models", "exports", "broker", "imports")]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(str(path) for path in paths if word.encode() in content(path))


def content(path: Path) -> bytes:
    """What a file holds: Parquet is compressed."""
    if path.suffix == ".parquet" or path.name.endswith(".parquet.part"):
        return repr(pyarrow.parquet.read_table(path).to_pylist()).encode()
    return path.read_bytes()


def test_after_an_erasure_no_table_and_no_file_holds_a_word_of_the_person(
    scene: Scene, mara: User, django_capture_on_commit_callbacks: Any
) -> None:
    dataset = freeze(scene.project, user=None, needed={})
    run_on(scene, dataset)
    assert {
        "annotation_prompt", "annotation_demonstration", "annotation_ranking", "annotation_completion",
        "annotation_assignment", "annotation_appeal", "annotation_review", "annotation_apitoken",
        "annotation_invitation", "annotation_upload", "annotation_user", "django_admin_log", "training_trainingrun",
    } <= set(rows_with(MARK))  # fmt: skip
    assert len(files_with(MARK)) > 5
    assert any(path.endswith("demonstrations.parquet") for path in files_with(MARK))
    sessions = session_count()
    with django_capture_on_commit_callbacks(execute=True):
        erasing.erase(scene.project, mara, by=scene.people.ada)
    assert rows_with(MARK) == []
    assert files_with(MARK) == []
    assert session_count() == sessions - 1
    assert not PayRate.objects.exists()
    assert not User.objects.filter(pk=mara.pk).exists()
    assert Demonstration.objects.filter(review=ReviewState.REJECTED).count() == 1  # her decisions stand
    assert AuditEntry.objects.get(action="erased").details["person"] == mara.pk


def session_count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from django_session")
        found: int = cursor.fetchone()[0]
    return found


def test_a_dataset_with_erased_rows_has_a_new_hash_names_the_old_and_verifies(
    scene: Scene, mara: User, django_capture_on_commit_callbacks: Any
) -> None:
    dataset = freeze(scene.project, user=None, needed={})
    before, rows = dataset.sha256, sum(dataset.counts.values())
    with django_capture_on_commit_callbacks(execute=True):
        erasing.erase(scene.project, mara, by=scene.people.ada)
        with pytest.raises(DatasetError, match="has changed"):
            verify(Dataset.objects.get())  # the row is ahead of the files until it is committed
    dataset.refresh_from_db()
    verify(dataset)
    (erasure,) = dataset.erasures
    assert erasure["sha256"] == before != dataset.sha256
    assert erasure["rows"] == dataset.erased_rows == rows - sum(dataset.counts.values()) > 0
    assert dataset.withdrawn_rows == 0
    card = (dataset.folder / "README.md").read_text()
    assert f"`{dataset.sha256}`" in card
    assert f"{erasure['rows']} rows; before, sha256 was `{before}`" in card


def test_a_run_that_has_to_begin_anew_after_an_erasure_begins_its_curves_anew_too(
    scene: Scene, mara: User, django_capture_on_commit_callbacks: Any
) -> None:
    run = run_on(scene, freeze(scene.project, user=None, needed={}))
    TrainingRun.objects.filter(pk=run.pk).update(state="failed")
    Run(run.folder).log(5, 9, {"loss": 1.0})
    with django_capture_on_commit_callbacks(execute=True):
        erasing.erase(scene.project, mara, by=scene.people.ada)
    Run(run.folder).log(1, 9, {"loss": 2.0})
    assert [row["step"] for row in metrics(run)] == [1]
    assert [step for _end, step in whole_events((run.folder / NAME).read_bytes())] == [-1, 1]


def test_an_erasure_keeps_what_an_admin_wrote_into_the_card(
    scene: Scene, mara: User, django_capture_on_commit_callbacks: Any
) -> None:
    dataset = freeze(scene.project, user=None, needed={})
    card = dataset.folder / "README.md"
    card.write_text(card.read_text().replace("license: unknown", "license: cc-by-4.0"))
    with django_capture_on_commit_callbacks(execute=True):
        erasing.erase(scene.project, mara, by=scene.people.ada)
    assert "license: cc-by-4.0" in card.read_text()
    assert dataset.sha256 in card.read_text()


def test_a_withdrawal_keeps_the_files_as_they_are_and_marks_dataset_and_descendants(scene: Scene, mara: User) -> None:
    dataset = freeze(scene.project, user=None, needed={})
    files = {path.name: path.read_bytes() for path in dataset.folder.iterdir()}
    run = run_on(scene, dataset)
    learnt = model_of(scene, run, "learnt", parent=scene.base)
    judge = RewardModel.objects.create(project=scene.project, name="judge", parent=learnt)
    judged = model_of(scene, scene.run(Stage.PPO, state="succeeded", judge=judge), "judged", parent=scene.base)
    child = register_policy(scene.project, name="child", source="x/y", parent=judged)
    withdrawing.leave(scene.project, mara)
    dataset.refresh_from_db()
    assert {path.name: path.read_bytes() for path in dataset.folder.iterdir()} == files
    verify(dataset)
    expected = sum(row_count(files[name], MARK) for name in files if name.endswith(".jsonl"))
    assert dataset.withdrawn_rows >= expected > 0
    assert dataset.withdrawn_at is not None
    for model in (learnt, judge, judged, child):
        model.refresh_from_db()
        assert model.used_withdrawn_rows == dataset.withdrawn_rows, model
    scene.base.refresh_from_db()
    assert scene.base.used_withdrawn_rows == 0
    assert freeze(scene.project, user=None, needed={}).withdrawn_rows == 0


def row_count(file: bytes, word: str) -> int:
    return sum(word.encode() in line for line in file.splitlines())


def test_who_left_and_then_asks_to_be_erased_is_taken_out_of_the_files_too(
    scene: Scene, mara: User, django_capture_on_commit_callbacks: Any
) -> None:
    dataset = freeze(scene.project, user=None, needed={})
    withdrawing.leave(scene.project, mara)
    Membership.objects.filter(user=mara).delete()
    assert files_with(MARK)
    assert mara in erasing.people_who_left(scene.project)
    with django_capture_on_commit_callbacks(execute=True):
        erasing.erase(scene.project, mara, by=scene.people.ada)
    assert files_with(MARK) == rows_with(MARK) == []
    dataset.refresh_from_db()
    verify(dataset)
    assert dataset.withdrawn_rows == 0


def test_a_model_made_of_erased_rows_says_so_and_names_the_hash_it_was_trained_on(scene: Scene, mara: User) -> None:
    dataset = freeze(scene.project, user=None, needed={})
    run = run_on(scene, dataset)
    learnt = model_of(scene, run, "learnt", path=f"runs/{run.pk}/model")
    learnt.folder.mkdir()
    erasing.erase(scene.project, mara, by=scene.people.ada)
    learnt.refresh_from_db()
    after = Dataset.objects.get(pk=dataset.pk)
    assert learnt.used_withdrawn_rows == after.erased_rows > 0
    written = json.loads((learnt.folder / "lineage.json").read_text())
    assert written["dataset_sha256"] == dataset.sha256 != after.sha256
    assert written["rows_withdrawn_since"] == learnt.used_withdrawn_rows
    assert "rows withdrawn since" in (learnt.folder / "README.md").read_text()
    later = model_of(scene, scene.run(Stage.SFT, dataset=after, state="succeeded"), "later", parent=scene.base)
    withdrawals.mark_models(scene.project)
    later.refresh_from_db()
    assert later.used_withdrawn_rows == 0  # it never saw them


def test_nothing_is_erased_while_a_training_run_may_hold_it(scene: Scene, mara: User) -> None:
    run = scene.run(Stage.SFT, state="running")
    with pytest.raises(Refused, match="training run"):
        erasing.erase(scene.project, mara, by=scene.people.ada)
    assert Prompt.objects.filter(author=mara).exists()
    TrainingRun.objects.filter(pk=run.pk).update(state="cancelled")
    erasing.erase(scene.project, mara, by=scene.people.ada)


def test_an_account_that_another_project_knows_stays(scene: Scene, mara: User) -> None:
    Membership.objects.create(project=scene.people.next_door, user=mara, role=Role.ANNOTATOR)
    erasing.erase(scene.project, mara, by=scene.people.ada)
    mara.refresh_from_db()
    assert not Assignment.objects.filter(annotator=mara).exists()
    assert [membership.project for membership in mara.memberships.all()] == [scene.people.next_door]


def test_the_only_admin_and_oneself_are_not_erased(scene: Scene) -> None:
    chief = User.objects.create_superuser("chief", password=PASSWORD)
    with pytest.raises(Refused, match="only admin"):
        erasing.erase(scene.project, scene.people.ada, by=chief)
    with pytest.raises(Refused, match="themselves"):
        erasing.erase(scene.project, scene.people.ada, by=scene.people.ada)


def test_the_pages_name_what_was_taken_back(scene: Scene, mara: User, client: Client) -> None:
    dataset = freeze(scene.project, user=None, needed={})
    learnt = model_of(scene, run_on(scene, dataset), "learnt")
    withdrawing.leave(scene.project, mara)
    client.force_login(scene.people.rosa)
    assert "taken back by their authors" in client.get(f"/datasets/{dataset.pk}/").content.decode()
    assert "taken back since" in client.get(f"/policies/{learnt.pk}/").content.decode()
    for page in ("models", "datasets"):
        assert "rows taken back" in client.get(scene.address(page)).content.decode()
    found = client.get(f"/api/v1/policies/{learnt.pk}/").json()
    assert found["used_withdrawn_rows"] == client.get(f"/api/v1/datasets/{dataset.pk}/").json()["withdrawn_rows"] > 0


def test_an_admin_erases_by_typing_the_name(scene: Scene, mara: User, client: Client) -> None:
    client.force_login(scene.people.ada)
    address = f"/projects/{scene.project.slug}/members/{mara.pk}/erase/"
    assert address in client.get(f"{scene.address('members')}{mara}/").content.decode()
    assert client.post(address, {"username": "mara"}).status_code == 422
    assert User.objects.filter(pk=mara.pk).exists()
    assert "Nothing of this person is left" in client.post(
        address, {"username": mara.username}, follow=True
    ).content.decode()  # fmt: skip
    assert rows_with(MARK) == []
    assert client.get(address).status_code == 404
