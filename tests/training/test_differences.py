"""What sets two datasets apart: counted right, whatever came, went or changed in between."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from annotation.models import Demonstration, Guidelines, Pool, Prompt, Ranking, ReviewState, Split
from tests.training.world import Lab
from training.datasets import DatasetError, counts_of, freeze, write_rows
from training.differences import RowChanges, compare
from training.models import Dataset


@pytest.fixture(autouse=True)
def _no_datasets_left() -> Iterator[None]:
    yield
    shutil.rmtree(Path(settings.DATA) / "datasets", ignore_errors=True)


def of(before: Dataset, after: Dataset, name: str) -> tuple[int, int, int]:
    (row,) = (row for row in compare(before, after).rows if row.name == name)
    return row.added, row.removed, row.changed


def test_rows_that_came_went_and_changed_are_told_apart(lab: Lab) -> None:
    before = freeze(lab.project, user=None)
    first, second = Demonstration.objects.filter(prompt__split=Split.TRAIN)[:2]
    Demonstration.objects.filter(pk=first.pk).update(text="another word")
    Demonstration.objects.filter(pk=second.pk).update(review=ReviewState.REJECTED)
    for prompt in lab.prompts(Split.TRAIN)[20:23]:
        lab.demonstrate(prompt, "more")
    after = freeze(lab.project, user=None)
    assert of(before, after, "demonstrations") == (3, 1, 1)
    assert of(after, before, "demonstrations") == (1, 3, 1)
    assert of(before, after, "rankings") == (0, 0, 0)


ROWS = st.dictionaries(st.integers(1, 12), st.sampled_from("ab"))


@hypothesis_settings(max_examples=60, deadline=None)
@given(old=ROWS, new=ROWS)
def test_the_counts_are_those_of_the_sets(old: dict[int, str], new: dict[int, str]) -> None:
    before, after = (unsaved(rows) for rows in (old, new))
    (row,) = compare(before, after).rows
    both = old.keys() & new.keys()
    assert row == RowChanges(
        name="prompts", before=len(old), after=len(new), added=len(new.keys() - old.keys()),
        removed=len(old.keys() - new.keys()), changed=sum(old[each] != new[each] for each in both),
    )  # fmt: skip


def unsaved(rows: dict[int, str]) -> Dataset:
    """A dataset that the database knows nothing of, with its file."""
    dataset = Dataset(pk=uuid4().int)
    dataset.folder.mkdir(parents=True)
    lines = ({"id": pk, "prompt": text} for pk, text in sorted(rows.items()))
    dataset.files = {"prompts.jsonl": write_rows(dataset.folder / "prompts.jsonl", lines)}
    dataset.counts = counts_of(dataset.files)
    return dataset


def test_what_they_were_made_with_stands_side_by_side(lab: Lab) -> None:
    before = freeze(lab.project, user=None)
    second = Guidelines.objects.create(project=lab.project, version=2, text="Be kind.")
    Ranking.objects.update(guidelines=second)
    lab.rank(lab.prompts(Split.TRAIN, Pool.REWARD)[-1], [["a", "b"]])
    after = freeze(lab.project, user=None, filters={"languages": ["en"]}, prompts_per_author=200)
    Dataset.objects.filter(pk=after.pk).update(code_version="later")
    after.refresh_from_db()
    found = compare(before, after)
    made = {fact.name: (fact.before, fact.after) for fact in found.made_with if fact.differs}
    assert made["languages"] == (None, ["en"])
    assert made["prompts_per_author"] == (None, 200)
    assert made["version"] == (before.code_version, "later")
    assert "use_cases" not in made
    guidelines = {(fact.kind, fact.name): (fact.before, fact.after) for fact in found.guidelines}
    assert guidelines["rankings", "2"] == (0, 12)
    assert guidelines["rankings", "unknown"] == (12, 0)
    assert [(fact.name, fact.before, fact.after) for fact in found.left_out] == [("all outputs tied", 0, 1)]


def test_a_dataset_of_before_parquet_compares_too(lab: Lab) -> None:
    before, after = freeze(lab.project, user=None), freeze(lab.project, user=None)
    before.files = {name: about for name, about in before.files.items() if name.endswith(".jsonl")}
    before.guidelines = {}
    assert {(row.added, row.removed, row.changed) for row in compare(before, after).rows} == {(0, 0, 0)}


def test_a_file_that_is_gone_or_out_of_order_is_named(lab: Lab) -> None:
    before = freeze(lab.project, user=None)
    Prompt.objects.filter(split=Split.TEST).update(language="zh")
    after = freeze(lab.project, user=None)
    path = before.folder / "instructions.jsonl"
    path.chmod(0o644)
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    with pytest.raises(DatasetError, match=r"Line 2 of .*instructions\.jsonl has no id above \d+"):
        compare(before, after)
    path.unlink()
    with pytest.raises(DatasetError, match=r"instructions\.jsonl is missing"):
        compare(before, after)


def told(*arguments: Any) -> str:
    out = StringIO()
    call_command("compare_datasets", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_line_tells_it_as_a_table_and_as_json(lab: Lab) -> None:
    before = freeze(lab.project, user=None)
    lab.demonstrate(lab.prompts(Split.TRAIN)[20], "more")
    after = freeze(lab.project, user=None)
    line = next(line for line in told(before.pk, after.pk).splitlines() if line.startswith("demonstrations "))
    assert line.split() == ["demonstrations", "8", "9", "1", "0", "0"]
    assert json.loads(told(before.pk, after.pk, "--json")) == compare(before, after).as_json()
    with pytest.raises(CommandError, match="There is no dataset 987654"):
        told(before.pk, 987654)


def test_that_only_one_was_frozen_without_what_gates_brought_is_told(lab: Lab, client: Client) -> None:
    before, after = freeze(lab.project, user=None), freeze(lab.project, user=None, without_gates=True)
    made = {fact.name: (fact.before, fact.after) for fact in compare(before, after).made_with}
    assert made["without_gates"] == (None, True)
    client.force_login(lab.rosa)
    row = "<dt>Without what was judged at gates</dt><dd>yes</dd>"
    assert row in client.get(f"/datasets/{after.pk}/").content.decode()
    page = client.get(f"/datasets/{after.pk}/compare/", {"with": before.pk}).content.decode()
    assert '<th scope="row">Without what was judged at gates</th><td>–</td><td>yes</td>' in page
