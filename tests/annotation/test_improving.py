"""One gesture, three records: the edit of the best output is an answer, an output of a person, and preferred."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from annotation.collection import Refused, improve
from annotation.exporting import comparison_rows
from annotation.models import Assignment, Completion, Demonstration, Generator, GeneratorKind, Ranking
from annotation.quality import judgements_of
from tests.world import World, make_ranking_item, make_token, rank, taken

BETTER = "Paris is the capital of France."


@pytest.fixture
def ranked(world: World) -> Assignment:
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    rank(piece)
    return piece


def test_an_edit_is_an_answer_an_output_and_a_preference(world: World, ranked: Assignment) -> None:
    best = ranked.shown[0]
    made = improve(ranked, completion=best, text=f" {BETTER}\r\n")
    assert (made.demonstration.text, made.demonstration.author) == (BETTER, world.alice)
    assert made.demonstration.prompt == made.completion.prompt == made.preference.prompt == ranked.item.prompt
    assert (made.completion.text, made.completion.sampling) == (BETTER, {"edit_of": best})
    writer = made.completion.generator
    assert (writer.kind, writer.person) == (GeneratorKind.PERSON, world.alice)
    assert "alice" not in writer.name
    assert made.preference.groups == [[made.completion.pk], [best]]
    assert (made.preference.annotator, made.preference.assignment) == (world.alice, None)


def test_the_preference_is_exported_as_a_comparison(world: World, ranked: Assignment) -> None:
    made = improve(ranked, completion=ranked.shown[0], text=BETTER)
    [row] = [row for row in comparison_rows(world.project) if row["ranking"] == made.preference.pk]
    original = Completion.objects.get(pk=ranked.shown[0])
    assert (row["chosen"], row["rejected"]) == (BETTER, original.text)


def test_it_is_no_judgement_among_outputs_that_chance_had_put_side_by_side(world: World, ranked: Assignment) -> None:
    before = judgements_of(world.project)
    improve(ranked, completion=ranked.shown[0], text=BETTER)
    assert judgements_of(world.project) == before


def test_the_same_edit_again_changes_nothing_and_another_is_refused(ranked: Assignment) -> None:
    first = improve(ranked, completion=ranked.shown[0], text=BETTER)
    assert improve(ranked, completion=ranked.shown[0], text=BETTER) == first
    with pytest.raises(Refused, match="already"):
        improve(ranked, completion=ranked.shown[0], text="Paris!")
    assert (Demonstration.objects.count(), Ranking.objects.count(), Completion.objects.count()) == (1, 2, 5)


def test_one_person_is_one_generator(world: World, ranked: Assignment) -> None:
    improve(ranked, completion=ranked.shown[0], text=BETTER)
    make_ranking_item(world.project, texts=("one", "two"))
    other = taken(world.project, world.alice)
    rank(other)
    improve(other, completion=other.shown[0], text="three")
    assert Generator.objects.filter(kind=GeneratorKind.PERSON).count() == 1


def test_only_the_best_can_be_edited_and_only_into_something_else(ranked: Assignment) -> None:
    with pytest.raises(Refused, match="ranked best"):
        improve(ranked, completion=ranked.shown[1], text=BETTER)
    with pytest.raises(Refused, match="as it was"):
        improve(ranked, completion=ranked.shown[0], text=Completion.objects.get(pk=ranked.shown[0]).text + "\n")
    with pytest.raises(Refused, match="empty"):
        improve(ranked, completion=ranked.shown[0], text=" ")
    assert not Demonstration.objects.exists()


def test_the_ranking_comes_first(world: World) -> None:
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    with pytest.raises(Refused, match="Submit the ranking first"):
        improve(piece, completion=piece.shown[0], text=BETTER)


def test_a_script_edits_by_letter_and_learns_no_id(world: World, ranked: Assignment) -> None:
    api = Client(headers={"Authorization": f"Bearer {make_token(world.alice)}"})
    path, sent = f"/api/v1/assignments/{ranked.pk}/improve/", {"id": "a", "text": BETTER}
    answer = api.post(path, sent, content_type="application/json")
    assert answer.json() == {"id": ranked.pk, "state": "submitted", "next": None}
    assert Demonstration.objects.get().text == BETTER
    assert api.post(path, sent | {"id": "b"}, content_type="application/json").status_code == 409


def test_the_page_offers_it_after_the_submit(world: World, client: Client) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    client.force_login(world.alice)
    path = f"/assignments/{piece.pk}/"
    assert client.get(f"{path}improve/").status_code == 404
    sent = {"client_key": str(uuid.uuid4()), "rank_a": 1, "rank_b": 1}
    assert f"{path}improve/" in client.post(f"{path}submit/", sent, follow=True).content.decode()
    second = Completion.objects.get(pk=piece.shown[1]).text
    assert f"{second}</textarea>" in client.get(f"{path}improve/?output=b").content.decode()
    client.post(f"{path}improve/?output=b", {"output": "b", "text": "three"})
    assert Completion.objects.get(text="three").sampling == {"edit_of": piece.shown[1]}
    assert client.post(f"{path}improve/", {"output": "b", "text": "four"}).status_code == 422
