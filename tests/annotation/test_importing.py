"""Data in: what is understood, what is refused and why, and that nothing is counted twice."""

from __future__ import annotations

import io
import json
import tracemalloc
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from annotation import importing
from annotation.importing import IMPORT_LOCK, ImportReport, import_rows
from annotation.models import (
    Completion,
    Demonstration,
    Generator,
    GeneratorKind,
    Item,
    ItemKind,
    Prompt,
    Ranking,
    Wording,
)
from annotation.quality import pairwise_agreement
from tests.world import World, make_prompt

RANKING = {
    "prompt": "Name a colour.",
    "completions": [
        {"text": "Blue", "rank": 1, "model": "gpt"},
        {"text": "Bread", "rank": 2, "model": "ape"},
        {"text": "Red", "rank": 1, "model": "ape"},
    ],
}


def bring(world: World, kind: str, *rows: Any, **options: Any) -> ImportReport:
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    return import_rows(world.project, kind, SimpleUploadedFile("rows.jsonl", text.encode()), user=world.ada, **options)


class TestInstructions:
    def test_come_in_with_their_work(self, world: World) -> None:
        world.project.demonstrations_per_prompt = 1
        chat = [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "?"},
        ]
        report = bring(world, "instructions", {"prompt": "One?", "use_case": "chat"}, {"prompt": chat, "other": 1})
        assert (report.rows, report.bad) == (2, 0)
        assert [prompt.as_column() for prompt in Prompt.objects.all()] == ["One?", chat]
        assert Prompt.objects.first().use_case == "chat"
        assert Prompt.objects.filter(author=None).count() == 2
        assert Item.objects.filter(kind=ItemKind.DEMONSTRATION).count() == 2

    def test_that_are_there_already_are_not_made_again(self, world: World) -> None:
        make_prompt(world.project, "One?", author=world.alice)
        report = bring(world, "instructions", {"prompt": "One?"}, {"prompt": "Two?"}, {"prompt": "Two?"})
        assert (report.rows, report.repeats) == (1, 2)
        assert Prompt.objects.count() == 2

    def test_keep_the_split_that_the_file_names_unless_the_text_has_one(self, world: World) -> None:
        split = make_prompt(world.project, "One?", use_case="chat").split
        other = "test" if split != "test" else "train"
        bring(
            world,
            "instructions",
            {"prompt": "One?", "split": other, "use_case": "other"},
            {"prompt": "Two?", "split": other},
        )
        assert set(Prompt.objects.filter(digest=Prompt.objects.first().digest).values_list("split", flat=True)) == {
            split
        }
        assert Wording.objects.get(pk=Prompt.objects.last().project.wordings.last().pk).split == other


class TestDemonstrations:
    def test_come_in_once(self, world: World) -> None:
        rows = [{"prompt": "One?", "completion": "1"}, {"prompt": "One?", "completion": "2"}]
        assert bring(world, "demonstrations", *rows).rows == 2
        again = bring(world, "demonstrations", *rows)
        assert (again.rows, again.repeats) == (0, 2)
        assert Prompt.objects.count() == 1
        assert Demonstration.objects.count() == 2
        assert not Item.objects.exists()

    def test_may_be_conversational(self, world: World) -> None:
        bring(world, "demonstrations", {
            "prompt": [{"role": "user", "content": "One?"}], "completion": [{"role": "assistant", "content": "1"}],
        })  # fmt: skip
        assert (Demonstration.objects.get().text, Prompt.objects.get().as_column()) == ("1", "One?")


class TestRankings:
    def test_come_in_with_their_ties_and_models(self, world: World) -> None:
        bring(world, "rankings", RANKING)
        record = Ranking.objects.get()
        texts = dict(Completion.objects.values_list("pk", "text"))
        assert [{texts[pk] for pk in group} for group in record.groups] == [{"Blue", "Red"}, {"Bread"}]
        assert [texts[pk] for pk in record.shown] == ["Blue", "Bread", "Red"]
        assert (record.annotator, record.assignment) == (None, None)
        assert set(Generator.objects.values_list("name", "kind")) == {("gpt", "external"), ("ape", "external")}

    def test_of_the_same_outputs_share_them(self, world: World) -> None:
        other = RANKING | {"annotator": "ben"}
        report = bring(world, "rankings", RANKING | {"annotator": "ann"}, other, RANKING | {"annotator": "cat"})
        assert report.rows == 3
        assert (Prompt.objects.count(), Completion.objects.count()) == (1, 3)
        assert pairwise_agreement(Ranking.objects.all()).pairs == 9

    def test_equal_ones_in_a_file_are_several_peoples_and_the_file_again_is_the_same_again(self, world: World) -> None:
        many = 501  # more than are written at once
        assert bring(world, "rankings", *[RANKING] * many).rows == many
        again = bring(world, "rankings", *[RANKING] * many)
        assert (again.rows, again.repeats, Ranking.objects.count()) == (0, many, many)

    def test_do_not_disturb_a_generator_of_ours(self, world: World) -> None:
        ours = Generator.objects.create(project=world.project, kind=GeneratorKind.POLICY, name="gpt")
        bring(world, "rankings", RANKING)
        ours.refresh_from_db()
        assert (ours.kind, ours.completions.count()) == ("policy", 1)


class TestOutputs:
    def test_wait_to_be_ranked(self, world: World) -> None:
        world.project.overlap = 2
        row = {"prompt": "Name a colour.", "completions": [{"text": "Blue", "model": "gpt"}, {"text": "Bread"}]}
        assert bring(world, "completions", row).rows == 1
        item = Item.objects.get()
        assert (item.kind, item.overlap, item.open_slots, len(item.completions)) == ("ranking", 2, [1, 2], 2)
        again = bring(world, "completions", row)
        assert (again.rows, again.repeats, Item.objects.count()) == (0, 1, 1)


def without(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return RANKING | {"completions": [row | changes for row in RANKING["completions"]]} | row


@pytest.mark.parametrize(
    ("kind", "row", "reason"),
    [
        ("instructions", "{", "not JSON"),
        ("instructions", "[1]", "not a JSON object"),
        ("instructions", '"' + "[" * 100_000, "not JSON"),
        ("instructions", "[" * 100_000, "not JSON"),
        ("instructions", {"text": "Hi"}, "no “prompt”. Found are: text"),
        ("instructions", {"prompt": 3}, "texts “role” and “content”"),
        ("instructions", {"prompt": " "}, "empty"),
        ("instructions", {"prompt": "x" * 8_001}, "at most 8000"),
        ("instructions", {"prompt": "Salut ?", "language": "fr"}, "“language” is 'fr'; expected one of en"),
        ("instructions", {"prompt": "Hi", "split": "dev"}, "“split” is 'dev'"),
        ("instructions", {"prompt": "Hi", "use_case": ["chat"]}, "“use_case”"),
        ("instructions", {"prompt": "Hi", "created_at": "yesterday"}, "ISO 8601"),
        ("instructions", {"prompt": [{"role": "assistant", "content": "Hi"}]}, "by assistant"),
        ("demonstrations", {"prompt": "Hi"}, "“completion” is None; expected a text"),
        ("demonstrations", {"prompt": "Hi", "completion": ""}, "empty"),
        ("rankings", {"prompt": "Hi"}, "“completions” must be a list"),
        ("rankings", {"prompt": "Hi", "completions": ["a", "b"]}, "must be a list of objects"),
        ("rankings", RANKING | {"completions": RANKING["completions"][:1]}, "1 completions; expected 2 to 9"),
        ("rankings", RANKING | {"completions": [{"text": "a"}, {"text": "b"}]}, "“rank” is None"),
        ("rankings", without({}, rank="first"), "“rank” is 'first'"),
        ("rankings", without({}, rank=True), "“rank” is True"),
        ("rankings", without({}, rating=8), "rating is 8"),
        ("rankings", without({}, flags={"rude": "yes"}), "flags"),
        ("rankings", without({}, text="same", model="same"), "stands twice"),
        ("rankings", without({"seconds": -1}), "“seconds” is -1"),
        (
            "rankings",
            RANKING | {"completions": [{"text": "a", "rank": 1, "model": "x"}, {"text": "a", "rank": 2, "model": "y"}]},
            "same text but different ranks",
        ),
        ("completions", {"prompt": "Hi", "completions": [{"text": "a", "model": "x"}, {"text": "a"}]}, "same text"),
        ("completions", {"prompt": "Hi", "completions": [{"text": "a"}, {"text": "a"}]}, "stands twice"),
        ("rankings", without({}, acceptable="maybe"), "expected true or false"),
    ],
)
def test_a_row_that_makes_no_sense_is_reported_with_its_line_and_reason(
    world: World, kind: str, row: Any, reason: str
) -> None:
    good = RANKING | {"completion": "Blue"}
    report = bring(world, kind, good, row, keep_good=True)
    assert [error.line for error in report.errors] == [2]
    assert reason in report.errors[0].message
    assert (report.rows, report.bad) == (1, 1)


def test_a_batch_is_looked_up_among_few_rows_however_many_came_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not committed yet nobody else counts: the planner took the whole project for a few rows."""
    monkeypatch.setattr(importing, "BATCH", 100)
    rows = [{"prompt": f"What is {number}?", "completion": "A number."} for number in range(1_700)]
    assert bring(world, "demonstrations", *rows).rows == 1_700
    with connection.cursor() as cursor:
        cursor.execute("select reltuples from pg_class where oid = 'annotation_prompt'::regclass")
        assert cursor.fetchone()[0] == 1_600  # of 17 batches, when it was last told
        wanted = list(Prompt.objects.values_list("digest", flat=True)[:100])
        plan = Prompt.objects.filter(project=world.project, digest__in=wanted).explain()
    assert "prompt_digest" in plan


def test_one_bad_row_keeps_all_out_unless_told_otherwise(world: World) -> None:
    report = bring(world, "rankings", RANKING, "{", RANKING)
    assert (report.rows, report.bad) == (0, 1)
    assert not Ranking.objects.exists()
    assert not Prompt.objects.exists()
    assert bring(world, "rankings", RANKING, "{", RANKING, keep_good=True).rows == 2


def test_what_the_database_can_not_keep_is_replaced(world: World) -> None:
    bring(world, "demonstrations", '{"prompt": "a\\u0000b", "completion": "c\\ud800d"}')
    assert (Prompt.objects.get().text, Demonstration.objects.get().text) == ("a\ufffdb", "c\ufffdd")


@pytest.mark.parametrize(
    ("name", "content", "line", "reason"),
    [
        ("rows.txt", b"", 0, "ends in .jsonl, .csv or .parquet"),
        ("rows.jsonl", '{"prompt": "é"}'.encode("latin-1"), 1, "not UTF-8"),
        ("rows.csv", "prompt\né\n".encode("latin-1"), 1, "not UTF-8"),
        ("rows.csv", b'prompt\n"one\n', 2, "not CSV"),
        ("rows.csv", b"prompt\none,two\n", 2, "more cells"),
        ("rows.parquet", b"PAR1 but not really", 1, "not a Parquet file"),
        ("rows.csv", b"PAR1 and so on", 0, "the file is Parquet"),
        ("rows.csv", b"PK\x03\x04 and so on", 0, "the file is ZIP"),
        ("rows.jsonl", b"\x1f\x8b and so on", 0, "the file is gzip"),
        ("rows.parquet", b"\x80\x04\x95 and so on", 0, "the file is pickle"),
        ("rows.csv", "\ufeffprompt".encode("utf-16"), 0, "the file is UTF-16"),
        ("rows.csv", b"prompt\n" + b"a," * 5_000_000, 2, "longer than 8 MB"),
        ("rows.csv", b"prompt\n" + b'"a\n",' * 2_500_000, 2, "longer than 8 MB"),
        ("rows.csv", b"a," * 5_000_000, 1, "longer than 8 MB"),
    ],
)
def test_a_file_that_makes_no_sense_is_reported(
    world: World, name: str, content: bytes, line: int, reason: str
) -> None:
    report = import_rows(world.project, "instructions", SimpleUploadedFile(name, content), user=world.ada)
    assert (report.rows, report.errors[0].line) == (0, line)
    assert reason in report.errors[0].message


def test_many_short_rows_of_csv_are_no_long_one(world: World) -> None:
    content = b"prompt,note\n" + b"".join(b"%d,%s\n" % (number, b"x" * 90_000) for number in range(100))
    report = import_rows(world.project, "instructions", SimpleUploadedFile("rows.csv", content), user=world.ada)
    assert (report.rows, report.errors) == (100, [])


def test_csv_is_read_with_its_line_numbers(world: World) -> None:
    content = '\ufeffprompt,completion\n"One\ntwo?",1\n,2\nThree?,3\n'
    file = SimpleUploadedFile("rows.csv", content.encode())
    report = import_rows(world.project, "demonstrations", file, user=world.ada, keep_good=True)
    assert [error.line for error in report.errors] == [4]
    assert set(Prompt.objects.values_list("messages__0__content", flat=True)) == {"One\ntwo?", "Three?"}


@pytest.mark.django_db(transaction=True)
def test_imports_into_one_project_run_one_at_a_time(world: World) -> None:
    import psycopg

    settings = connection.get_connection_params()
    with psycopg.connect(
        **{name: settings[name] for name in ("host", "port", "user", "password", "dbname") if name in settings}
    ) as other:
        other.execute("select pg_advisory_lock(%s::int, %s::int)", [IMPORT_LOCK, world.project.pk])
        report = bring(world, "instructions", {"prompt": "One?"})
    assert report.rows == 0
    assert "Another import" in report.errors[0].message


def test_memory_does_not_grow_with_the_file(world: World) -> None:
    def peak(rows: int) -> int:
        content = "".join(json.dumps({"prompt": f"{rows}-{n}", "completion": "x" * 500}) + "\n" for n in range(rows))
        file = io.BytesIO(content.encode())
        tracemalloc.start()
        assert import_rows(world.project, "demonstrations", file, user=world.ada, name="rows.jsonl").rows == rows
        _now, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return top

    small = peak(500)
    assert peak(1_500) < 1.5 * small
