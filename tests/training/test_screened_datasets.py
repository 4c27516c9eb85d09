"""A qualification from the first piece to the dataset: what people did before they qualified waits for it."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from annotation import screening
from annotation.collection import submit_demonstration
from annotation.models import Item, ItemKind, Pool, Project, Purpose, ReviewState, Split
from tests.training.pages.scene import Scene, build_scene
from tests.world import make_prompt, make_ranking_item, rank, taken
from training.datasets import freeze
from training.models import Dataset


@pytest.fixture
def scene(db: Any) -> Scene:
    return build_scene()


@pytest.fixture(autouse=True)
def _no_files_left() -> Any:
    yield
    shutil.rmtree(Path(settings.DATA) / "datasets", ignore_errors=True)


def ask(project: Project, **values: Any) -> None:
    Project.objects.filter(pk=project.pk).update(**values)
    project.refresh_from_db()


def rows(dataset: Dataset, *names: str) -> list[dict[str, Any]]:
    files = [dataset.folder / f"{name}.jsonl" for name in names]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def rankings(dataset: Dataset) -> set[int]:
    return {row["id"] for row in rows(dataset, "rankings", "rankings_held_out")}


def ranked_items(project: Project, count: int) -> list[Item]:
    """Sets of prompts that train or test a reward model, so that a ranking of them enters a dataset."""
    found: list[Item] = []
    number = 0
    while len(found) < count:
        prompt = make_prompt(project, f"Name city number {number}.")
        number += 1
        if prompt.pool == Pool.REWARD or prompt.split != Split.TRAIN:
            found.append(make_ranking_item(project, prompt=prompt))
    return found


def test_work_enters_datasets_once_its_author_has_qualified(scene: Scene) -> None:
    project, alice, rosa = scene.project, scene.people.alice, scene.people.rosa
    key, ordinary = ranked_items(project, 2)
    screening.choose(project, [key.pk], purpose=Purpose.QUALIFICATION, by=rosa)
    key.refresh_from_db()
    answer = rank(screening.answer(key, rosa))
    ask(project, qualification_pieces=1, qualification_bar=70, demonstrations_per_prompt=1)
    written = make_prompt(project, "Name a river.", author=alice)
    make_prompt(project, "Name a lake.")
    rank(taken(project, alice, ItemKind.RANKING), answer.groups[::-1])  # the wrong way round
    mine = taken(project, alice, ItemKind.RANKING)
    assert mine.item == ordinary
    kept = rank(mine)
    submit_demonstration(taken(project, alice, ItemKind.DEMONSTRATION), client_key=uuid.uuid4(), text="The Danube.")

    before = freeze(project, user=None, needed={})
    assert rankings(before) == {answer.pk}
    assert "The Danube." not in str(rows(before, "demonstrations", "demonstrations_held_out"))
    assert written.pk not in {row["id"] for row in rows(before, "instructions")}
    reason = "by people who have not qualified"
    assert [before.left_out[kind][reason] for kind in ("prompts", "demonstrations", "rankings")] == [1, 1, 1]
    assert before.left_out["rankings"]["qualification, gold and repeats"] == 1

    ask(project, qualification_bar=1)
    measured = next(iter(screening.standings(project).values()))
    assert (measured.sets.share, measured.passed) == (0.0, False)
    again = screening.asides(project).get().ranking
    again.groups = answer.groups
    again.save()
    after = freeze(project, user=None, needed={})
    assert rankings(after) == {answer.pk, kept.pk}
    assert "The Danube." in str(rows(after, "demonstrations", "demonstrations_held_out"))
    assert written.pk in {row["id"] for row in rows(after, "instructions")}
    assert reason not in str(after.left_out)


def test_answers_enter_datasets_once_reviewers_have_accepted_enough_of_them(scene: Scene) -> None:
    project, alice = scene.project, scene.people.alice
    ask(project, qualification_answers=1, qualification_accepted=100, demonstrations_per_prompt=1)
    make_prompt(project, "Name a lake.")
    piece = taken(project, alice, ItemKind.DEMONSTRATION)
    made = submit_demonstration(piece, client_key=uuid.uuid4(), text="The Danube.")
    before = freeze(project, user=None, needed={})
    assert "The Danube." not in str(rows(before, "demonstrations", "demonstrations_held_out"))
    assert before.left_out["demonstrations"]["by people who have not qualified"] == 1
    made.review = ReviewState.ACCEPTED
    made.save()
    after = freeze(project, user=None, needed={})
    assert "The Danube." in str(rows(after, "demonstrations", "demonstrations_held_out"))


def test_repeats_and_gold_measure_people_and_train_nobody(scene: Scene) -> None:
    project, alice, rosa = scene.project, scene.people.alice, scene.people.rosa
    gold, ordinary = ranked_items(project, 2)
    screening.choose(project, [gold.pk], purpose=Purpose.GOLD, by=rosa)
    gold.refresh_from_db()
    answer = rank(screening.answer(gold, rosa))
    ask(project, gold_share=100)
    rank(taken(project, alice, ItemKind.RANKING))
    ask(project, gold_share=0)
    first = rank(taken(project, alice, ItemKind.RANKING))
    ask(project, repeat_share=100)
    repeat = taken(project, alice, ItemKind.RANKING)
    assert (repeat.item, repeat.repeat) == (ordinary, 1)
    rank(repeat)
    dataset = freeze(project, user=None, needed={})
    assert rankings(dataset) == {answer.pk, first.pk}
    assert dataset.left_out["rankings"] == {"qualification, gold and repeats": 2}
