"""Data out: what is in each file, and that no reader comes to harm."""

from __future__ import annotations

import csv
import io
import json
import uuid
from typing import Any

import pyarrow.parquet
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given
from hypothesis import strategies as st

from annotation import formats
from annotation.adding import NewCompletion, RankingSet, add_completions, add_ranking_items
from annotation.collection import submit_demonstration
from annotation.exporting import FORMATS, KINDS, comparison_rows, pseudonym, ranking_rows, stream
from annotation.importing import import_rows
from annotation.models import Demonstration, ItemKind, Project, Prompt, Ranking
from tests.world import World, answer, make_generator, make_prompt, make_ranking_item, rank, taken


def exported(project: Project, kind: str, form: str = "jsonl") -> bytes:
    return b"".join(stream(project, kind, form))


def lines(project: Project, kind: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in exported(project, kind).splitlines()]


@pytest.fixture
def ranked(world: World) -> Ranking:
    make_ranking_item(world.project, texts=("One", "Two", "Three"))
    assignment = taken(world.project, world.alice)
    a, b, c = assignment.shown
    return rank(assignment, [[c], [a, b]], ratings={a: 2, c: 7}, flags={b: {"opinion": "yes"}}, note="Hm.")


class TestRankings:
    def test_have_their_completions_in_the_order_shown(self, world: World, ranked: Ranking) -> None:
        row = lines(world.project, "rankings")[0]
        texts = dict(world.project.generators.get().completions.values_list("pk", "text"))
        first, second, third = row["completions"]
        assert [first["text"], second["text"], third["text"]] == [texts[pk] for pk in ranked.shown]
        assert [first["rank"], second["rank"], third["rank"]] == [2, 2, 1]
        assert (first["rating"], third["rating"], second.get("rating")) == (2, 7, None)
        assert second["flags"] == {"opinion": "yes"}
        assert {completion["model"] for completion in row["completions"]} == {"sft-of-tuesday"}

    def test_say_where_they_come_from(self, world: World, ranked: Ranking) -> None:
        row = lines(world.project, "rankings")[0]
        assert row["prompt"] == "What is the capital of France?"
        assert (row["split"], row["pool"]) == (ranked.prompt.split, ranked.prompt.pool)
        assert (row["guidelines"], row["seconds"], row["note"]) == (1, 12.5, "Hm.")

    def test_hide_who_ranked_behind_a_pseudonym(self, world: World, ranked: Ranking) -> None:
        name = lines(world.project, "rankings")[0]["annotator"]
        assert name == pseudonym(world.project, world.alice.pk)
        assert name != pseudonym(world.next_door, world.alice.pk)
        assert name != pseudonym(world.project, world.bob.pk)
        assert b"alice" not in exported(world.project, "rankings")

    def test_are_the_projects_alone(self, world: World, ranked: Ranking) -> None:
        assert lines(world.next_door, "rankings") == []

    def test_cost_the_same_statements_however_many(self, world: World, django_assert_num_queries: Any) -> None:
        for number in range(5):
            make_ranking_item(world.project, texts=(f"One {number}", f"Two {number}"))
            rank(taken(world.project, world.alice))
        with django_assert_num_queries(2):
            assert len(list(ranking_rows(world.project))) == 5


class TestComparisons:
    def test_are_the_untied_pairs(self, world: World, ranked: Ranking) -> None:
        rows = list(comparison_rows(world.project))
        texts = dict(world.project.generators.get().completions.values_list("pk", "text"))
        a, b, c = (texts[pk] for pk in ranked.shown)
        assert {(row["chosen"], row["rejected"]) for row in rows} == {(c, a), (c, b)}
        assert {row["ranking"] for row in rows} == {ranked.pk}

    def test_a_ranking_that_is_one_tie_gives_none(self, world: World) -> None:
        make_ranking_item(world.project)
        assignment = taken(world.project, world.alice)
        rank(assignment, [list(assignment.shown)])
        assert list(comparison_rows(world.project)) == []


def test_demonstrations_and_instructions_say_who_under_the_same_pseudonym(world: World) -> None:
    world.project.demonstrations_per_prompt = 1
    make_prompt(world.project, author=world.bob)
    answer(taken(world.project, world.alice), "Paris.")
    assert lines(world.project, "instructions")[0]["author"] == pseudonym(world.project, world.bob.pk)
    row = lines(world.project, "demonstrations")[0]
    assert (row["prompt"], row["completion"]) == ("What is the capital of France?", "Paris.")
    assert row["author"] == pseudonym(world.project, world.alice.pk)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_project_gives_a_file_without_rows(world: World, kind: str, form: str) -> None:
    file = io.BytesIO(exported(world.project, kind, form))
    assert list(formats.read(file, f"rows.{form}")) == []


class TestRoundTrip:
    """What goes out comes in again, and goes out the same to the byte."""

    def everything(self, world: World) -> None:
        chat = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "=1+1?"},
        ]
        from annotation.collection import add_prompt

        prompt = add_prompt(
            world.project, author=world.bob, messages=chat, kind="user_based", use_case="chat", language="en"
        )
        make_ranking_item(
            world.project, prompt=prompt, texts=("=cmd()", "", "'=x", "a\r\nb", "\u2028“ü”\t,;"), overlap=2
        )
        make_ranking_item(world.project, texts=("2", "3"), generator="external=1")
        item = make_ranking_item(world.project, prompt=make_prompt(world.project, "Twice?"), texts=("4", "5", "6"))
        (twin,) = add_completions(make_generator(world.project, "other"), [NewCompletion(item.asked.pk, "5", {})])
        item.delete()
        add_ranking_items(world.project, [RankingSet(item.asked, [twin.pk, *item.completions])])
        for person in (world.alice, world.rita):
            while (assignment := _next(world, person)) is not None:
                ids = assignment.shown
                groups = [[ids[-1]], list(ids[:-1])]
                rank(
                    assignment,
                    groups,
                    ratings={ids[0]: 4},
                    flags={ids[1]: {"opinion": "na"}},
                    acceptable=1,
                    note="=HYPERLINK()",
                )

    @pytest.mark.parametrize("form", FORMATS)
    def test_of_rankings(self, world: World, form: str) -> None:
        self.everything(world)
        first = exported(world.project, "rankings", form)
        file = SimpleUploadedFile(f"rankings.{form}", first)
        report = import_rows(world.next_door, "rankings", file, user=world.charlie)
        assert (report.rows, report.repeats, report.errors) == (4, 0, [])
        assert exported(world.next_door, "rankings", "jsonl") == exported(world.project, "rankings", "jsonl")
        assert exported(world.next_door, "rankings", form) == first

    def test_into_the_same_project_adds_nothing(self, world: World) -> None:
        self.everything(world)
        first = exported(world.project, "rankings")
        file = SimpleUploadedFile("rankings.jsonl", first)
        report = import_rows(world.project, "rankings", file, user=world.ada)
        assert (report.rows, report.repeats) == (0, 4)
        assert exported(world.project, "rankings") == first

    def texts(self, world: World) -> None:
        """Instructions and answers: alike but by others, alike by one person, rejected, marked, with odd characters."""
        world.project.demonstrations_per_prompt = 2
        for person in (world.bob, world.rita, world.bob):
            make_prompt(world.project, "Alike?", author=person)
        make_prompt(world.project, "Nobody's?", harmful=True)
        make_prompt(world.project, "=1+1", kind="few_shot", use_case="chat", author=world.bob)
        Prompt.objects.filter(pk=make_prompt(world.project, "Bad?").pk).update(review="rejected")
        for person in (world.alice, world.ada):
            for _piece in range(3):
                assignment = taken(world.project, person, ItemKind.DEMONSTRATION)
                submit_demonstration(assignment, client_key=uuid.uuid4(), text="-1 or\n[{}] “so”")
        Demonstration.objects.filter(pk=Demonstration.objects.latest("pk").pk).update(review="accepted")

    @pytest.mark.parametrize("form", FORMATS)
    @pytest.mark.parametrize("kind", ["instructions", "demonstrations"])
    def test_of_texts(self, world: World, kind: str, form: str) -> None:
        self.texts(world)
        first = exported(world.project, kind, form)
        report = import_rows(world.next_door, kind, SimpleUploadedFile(f"rows.{form}", first), user=world.charlie)
        assert (report.rows, report.repeats, report.errors) == (6, 0, [])
        assert exported(world.next_door, kind, "jsonl") == exported(world.project, kind, "jsonl")
        assert exported(world.next_door, kind, form) == first

    @pytest.mark.parametrize("kind", ["instructions", "demonstrations"])
    def test_of_texts_into_the_same_project_adds_nothing(self, world: World, kind: str) -> None:
        self.texts(world)
        first = exported(world.project, kind)
        report = import_rows(world.project, kind, SimpleUploadedFile("rows.jsonl", first), user=world.ada)
        assert (report.rows, report.repeats) == (0, 6)
        assert exported(world.project, kind) == first

    def test_of_instructions_after_their_answers_adds_no_instruction_twice(self, world: World) -> None:
        make_prompt(world.project, "One?", author=world.bob)
        world.project.demonstrations_per_prompt = 1
        make_prompt(world.project, "Two?", author=world.bob)
        answer(taken(world.project, world.alice, ItemKind.DEMONSTRATION), "2")
        for kind, rows in (("demonstrations", 1), ("instructions", 1)):
            file = SimpleUploadedFile("rows.jsonl", exported(world.project, kind))
            assert import_rows(world.next_door, kind, file, user=world.charlie).rows == rows
        assert Prompt.objects.filter(project=world.next_door).count() == 2

    def test_a_rejected_instruction_asks_nobody_for_an_answer(self, world: World) -> None:
        world.next_door.demonstrations_per_prompt = 1
        Prompt.objects.filter(pk=make_prompt(world.project, "Bad?").pk).update(review="rejected")
        make_prompt(world.project, "Good?")
        file = SimpleUploadedFile("rows.jsonl", exported(world.project, "instructions"))
        import_rows(world.next_door, "instructions", file, user=world.charlie)
        assert [item.asked.text for item in world.next_door.items.all()] == ["Good?"]


def _next(world: World, person: Any) -> Any:
    from annotation.assignment import take

    return take(world.project, person)


class TestCsvIsHarmlessInASpreadsheet:
    @pytest.mark.parametrize(
        "start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", " =", "\u3000＝", "'="]
    )
    def test_what_one_would_run_is_a_text(self, world: World, start: str) -> None:
        make_prompt(world.project, "What?", author=world.bob)
        Prompt.objects.update(messages=[{"role": "user", "content": f"{start}HYPERLINK(1)"}])
        content = exported(world.project, "instructions", "csv").decode("utf-8-sig")
        (row,) = csv.DictReader(io.StringIO(content, newline=""))
        assert row["prompt"] == f"'{start}HYPERLINK(1)"

    @given(st.text())
    def test_no_cell_can_run(self, text: str) -> None:
        content = b"".join(formats.write([{"text": text}], ["text"], "csv")).decode("utf-8-sig")
        ((cell,),) = list(csv.reader(io.StringIO(content, newline="")))[1:] or [("",)]
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n"))

    @given(st.text(st.characters(codec="utf-8")).filter(bool))
    def test_and_reading_gives_back_what_was_written(self, text: str) -> None:
        file = io.BytesIO(b"".join(formats.write([{"text": text, "more": "x"}], ["text", "more"], "csv")))
        assert list(formats.read(file, "rows.csv")) == [(2, {"text": text, "more": "x"})]


def test_parquet_has_columns_of_one_type(world: World, ranked: Ranking) -> None:
    table = pyarrow.parquet.read_table(io.BytesIO(exported(world.project, "rankings", "parquet")))
    assert table.column("prompt").to_pylist() == [[{"role": "user", "content": "What is the capital of France?"}]]
    assert [each["rank"] for each in table.column("completions").to_pylist()[0]] == [2, 2, 1]
