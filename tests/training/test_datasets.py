from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from annotation.collection import NewPrompt, add_prompt, add_prompts
from annotation.models import Demonstration, Guidelines, Pool, Prompt, Ranking, ReviewState, Split, User
from tests.training.world import Lab
from tests.world import make_project
from training.datasets import DatasetError, freeze, sample_rows, verify
from training.models import Dataset


def rows(dataset: Dataset, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (dataset.folder / f"{name}.jsonl").read_text().splitlines()]


def texts(dataset: Dataset, name: str) -> set[str]:
    return {row["prompt"] for row in rows(dataset, name)}


def test_the_files_hold_what_the_project_holds(lab: Lab) -> None:
    dataset = freeze(lab.project, user=lab.rosa)
    assert dataset.counts == {
        "instructions": 60,
        "demonstrations": 8,
        "demonstrations_held_out": 8,
        "rankings": 6,
        "rankings_held_out": 6,
        "prompts": len(lab.prompts(Split.TRAIN, Pool.POLICY)),
        "prompts_held_out": 20,
    }
    lines = {name for name in dataset.files if name.endswith(".jsonl")}
    assert {name.removesuffix(".jsonl"): dataset.files[name]["rows"] for name in lines} == dataset.counts
    assert dataset.created_by == lab.rosa
    assert dataset.code_version


def test_a_ranking_row_has_every_output_once_with_its_rank(lab: Lab) -> None:
    prompt = lab.prompts(Split.TRAIN, Pool.REWARD)[-1]
    ranking = lab.rank(prompt, [["b"], ["a", "c"]])
    best = ranking.groups[0][0]
    Ranking.objects.filter(pk=ranking.pk).update(ratings={str(best): 7})
    (row,) = (row for row in rows(freeze(lab.project, user=None), "rankings") if row["prompt"] == prompt.text)
    assert [(c["text"], c["rank"], c["rating"]) for c in row["completions"]] == [
        ("b", 1, 7),
        ("a", 2, None),
        ("c", 2, None),
    ]


def test_a_chat_stays_messages_and_one_text_stays_a_text(lab: Lab) -> None:
    chat = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]
    add_prompts(lab.project, [NewPrompt(chat, split=Split.TEST)])
    prompts = [row["prompt"] for row in rows(freeze(lab.project, user=None), "prompts_held_out")]
    assert chat in prompts
    assert sum(isinstance(prompt, str) for prompt in prompts) == len(prompts) - 1


def test_reward_model_and_ppo_share_no_prompt_and_held_out_ones_are_in_no_training_file(lab: Lab) -> None:
    for prompt in lab.prompts(Split.TRAIN, Pool.POLICY)[:3]:
        lab.rank(prompt, [["yes"], ["no"]])
    dataset = freeze(lab.project, user=None)
    held_out = texts(dataset, "prompts_held_out")
    assert texts(dataset, "rankings").isdisjoint(texts(dataset, "prompts"))
    assert held_out.isdisjoint(
        texts(dataset, "rankings") | texts(dataset, "prompts") | texts(dataset, "demonstrations")
    )
    assert texts(dataset, "rankings_held_out") | texts(dataset, "demonstrations_held_out") <= held_out
    assert dataset.left_out["rankings"] == {"of prompts kept for PPO": 3}


@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 9)), min_size=1, max_size=40))
def test_no_text_is_on_both_sides_and_who_wrote_it_first_decides(db: None, written: list[tuple[int, int]]) -> None:
    project = make_project(name="p", slug=f"p{uuid4().hex}", demonstrations_per_prompt=0)
    people = [User.objects.get_or_create(username=f"author{n}")[0] for n in range(12)]
    for author, text in written:
        messages = [{"role": "user", "content": f"text {text}"}]
        add_prompt(project, author=people[author], messages=messages, kind="plain", use_case="other", language="en")
    dataset = freeze(project, user=None, needed={})
    assert texts(dataset, "prompts_held_out").isdisjoint(texts(dataset, "prompts"))
    sides = {row["prompt"]: row["split"] for row in rows(dataset, "instructions")}
    assert len(sides) == len({(row["prompt"], row["split"]) for row in rows(dataset, "instructions")})
    split_of: dict[int, str] = {}
    for text, author in {text: author for author, text in reversed(written)}.items():
        assert split_of.setdefault(author, sides[f"text {text}"]) == sides[f"text {text}"]


WRITTEN = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 30)), min_size=1, max_size=25)  # authors and texts


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=WRITTEN, later=WRITTEN, cap=st.none() | st.integers(1, 4))
def test_as_data_grows_what_was_chosen_stays_chosen_and_on_its_side(
    db: None, first: list[tuple[int, int]], later: list[tuple[int, int]], cap: int | None
) -> None:
    project = make_project(name="p", slug=f"p{uuid4().hex}", demonstrations_per_prompt=0)
    people = [User.objects.get_or_create(username=f"author{n}")[0] for n in range(8)]
    found = []
    for written in (first, later):
        for author, text in written:
            messages = [{"role": "user", "content": f"text {text}"}]
            add_prompt(project, author=people[author], messages=messages, kind="plain", use_case="other", language="en")
        dataset = freeze(project, user=None, needed={}, prompts_per_author=cap)
        found.append({row["id"]: row for row in rows(dataset, "instructions")})
        authors = [row["author"] for row in found[-1].values()]
        assert cap is None or all(authors.count(author) <= cap for author in authors)
        learners = {pool: {row["prompt"] for row in found[-1].values() if row["pool"] == pool} for pool in Pool}
        assert learners[Pool.REWARD].isdisjoint(learners[Pool.POLICY])
        assert texts(dataset, "prompts") <= learners[Pool.POLICY]
    earlier, now = found
    assert earlier.items() <= now.items()


def test_beyond_the_cap_prompts_and_what_was_done_with_them_are_left_out_and_counted(lab: Lab) -> None:
    written = lab.prompts(Split.TRAIN, Pool.REWARD)[:6]  # all with a ranking
    Prompt.objects.filter(pk__in=[prompt.pk for prompt in written]).update(author=lab.people.bob)
    lab.demonstrate(written[4], "an answer")
    answers = Demonstration.objects.filter(prompt__in=written[2:]).count()
    dataset = freeze(lab.project, user=None, prompts_per_author=2)
    kept = {row["id"] for row in rows(dataset, "instructions") if row["author"]}
    assert kept == {prompt.pk for prompt in written[:2]}
    reason = "of prompts beyond the cap of their author"
    assert dataset.left_out == {
        "prompts": {reason: 4}, "rankings": {reason: 4}, "demonstrations": {reason: answers},
    }  # fmt: skip
    assert answers > 0
    assert dataset.filters["prompts_per_author"] == 2
    assert dataset.counts["rankings"] == 2
    assert dataset.counts["instructions"] == 56  # those of no author are all there


def test_a_cap_of_none_is_refused(lab: Lab) -> None:
    with pytest.raises(DatasetError, match="prompts_per_author is 0; expected a whole number from 1"):
        freeze(lab.project, user=None, prompts_per_author=0)


def test_a_dataset_counts_its_rows_by_version_of_the_guidelines(lab: Lab) -> None:
    first = Guidelines.objects.get(project=lab.project)
    second = Guidelines.objects.create(project=lab.project, version=2, text="Be kind.")
    rankings = Ranking.objects.filter(prompt__split=Split.TRAIN)
    rankings.update(guidelines=first)
    Ranking.objects.filter(pk=rankings[0].pk).update(guidelines=second)
    Ranking.objects.filter(pk=rankings[1].pk).update(guidelines=None, origin={"guidelines": 7})
    Ranking.objects.filter(pk=rankings[2].pk).update(review=ReviewState.REJECTED)
    dataset = freeze(lab.project, user=None)
    assert dataset.guidelines["rankings"] == {"1": 3, "2": 1, "7": 1, "unknown": 6}
    assert {row["guidelines"] for row in rows(dataset, "rankings")} == {1, 2, 7}


def test_equal_prompts_and_equal_demonstrations_count_once(lab: Lab) -> None:
    prompt = lab.prompts(Split.TRAIN, Pool.POLICY)[0]
    add_prompts(lab.project, [NewPrompt(prompt.messages)])
    demonstration = Demonstration.objects.filter(prompt__split=Split.TRAIN).earliest("id")
    lab.demonstrate(demonstration.prompt, demonstration.text)
    dataset = freeze(lab.project, user=None)
    assert [row["prompt"] for row in rows(dataset, "prompts")].count(prompt.text) == 1
    assert dataset.left_out == {"prompts": {"repeats": 1}, "demonstrations": {"repeats": 1}}


def test_what_was_rejected_or_tells_nothing_is_left_out_and_counted(lab: Lab) -> None:
    one, two, three = lab.prompts(Split.TRAIN, Pool.REWARD)[-3:]
    lab.rank(one, [["a", "b"]])
    lab.rank(two, [["a"], ["b"]], review=ReviewState.REJECTED)
    lab.demonstrate(three, "bad", review=ReviewState.REJECTED)
    Prompt.objects.filter(pk=one.pk).update(review=ReviewState.ACCEPTED)
    Prompt.objects.filter(pk=three.pk).update(review=ReviewState.REJECTED)
    dataset = freeze(lab.project, user=None)
    assert dataset.left_out["rankings"] == {"rejected by review": 1, "all outputs tied": 1}
    assert dataset.left_out["prompts"] == {"rejected by review": 1}
    assert "bad" not in {row["completion"] for row in rows(dataset, "demonstrations")}


def test_filters_narrow_and_unknown_ones_are_refused(lab: Lab) -> None:
    Prompt.objects.filter(pk=lab.prompts(Split.TEST)[0].pk).update(language="zh")
    dataset = freeze(lab.project, user=None, filters={"languages": ["zh"]}, needed={})
    assert dataset.counts["instructions"] == 1
    assert dataset.filters["languages"] == ["zh"]
    with pytest.raises(DatasetError, match="colour"):
        freeze(lab.project, user=None, filters={"colour": ["red"]})


def test_freezing_too_little_says_how_much_there_is_and_leaves_nothing_behind(lab: Lab) -> None:
    Ranking.objects.all().delete()
    lab.rank(lab.prompts(Split.TRAIN, Pool.REWARD)[0], [["a", "b"]])
    with pytest.raises(DatasetError, match=r"rankings: 0 found, 1 needed.*1 all outputs tied"):
        freeze(lab.project, user=None)
    assert not Dataset.objects.exists()
    assert list((Path(settings.DATA) / "datasets").glob(".*.part")) == []


def test_the_same_data_gives_the_same_hash_and_other_data_another(lab: Lab) -> None:
    one, two = freeze(lab.project, user=None), freeze(lab.project, user=None)
    assert one.sha256 == two.sha256
    lab.demonstrate(lab.prompts(Split.TRAIN)[20], "more")
    assert freeze(lab.project, user=None).sha256 != one.sha256


def test_a_dataset_does_not_change_with_the_project_and_a_changed_file_is_noticed(lab: Lab) -> None:
    dataset = freeze(lab.project, user=None)
    before = {path.name: path.read_bytes() for path in dataset.folder.iterdir()}
    lab.demonstrate(lab.prompts(Split.TRAIN)[20], "later")
    Prompt.objects.filter(split=Split.TRAIN).update(review=ReviewState.REJECTED)
    assert {path.name: path.read_bytes() for path in dataset.folder.iterdir()} == before
    verify(dataset)
    path = dataset.folder / "rankings.jsonl"
    assert path.stat().st_mode & 0o222 == 0
    path.chmod(0o644)
    path.write_text(path.read_text().replace("what", "that"))
    with pytest.raises(DatasetError, match=r"rankings\.jsonl has changed"):
        verify(dataset)
    path.unlink()
    with pytest.raises(DatasetError, match=r"rankings\.jsonl is missing"):
        verify(dataset)


def test_rows_drawn_from_a_file_are_the_same_each_time(lab: Lab) -> None:
    dataset = freeze(lab.project, user=None)
    drawn = sample_rows(dataset, "prompts_held_out", count=5)
    assert drawn == sample_rows(dataset, "prompts_held_out", count=5)
    assert len({row["id"] for row in drawn}) == 5
    assert sorted(row["id"] for row in sample_rows(dataset, "prompts_held_out", count=99)) == sorted(
        prompt.pk for prompt in lab.prompts(Split.TEST)
    )


@pytest.fixture(autouse=True)
def _no_datasets_left() -> Any:
    yield
    shutil.rmtree(Path(settings.DATA) / "datasets", ignore_errors=True)


def test_a_folder_that_a_crash_of_the_database_left_without_a_row_makes_room(lab: Lab) -> None:
    """A number that was drawn in a transaction that never ended is drawn again after a crash."""
    first = freeze(lab.project, user=lab.rosa)
    left = first.folder.with_name(str(first.pk + 1))
    left.mkdir()
    (left / "rankings.jsonl").write_text("of nobody\n")
    second = freeze(lab.project, user=lab.rosa)
    assert second.folder == left
    verify(second)
