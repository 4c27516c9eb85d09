"""Taking work back: what goes with it, what stays, who is told."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from django.test import Client

from annotation import appeals, my_work, withdrawing
from annotation.assignment import take
from annotation.collection import Refused, improve, save_draft, submit_demonstration, submit_instruction
from annotation.models import (
    Appeal,
    Assignment,
    AssignmentState,
    AuditEntry,
    Completion,
    Demonstration,
    Item,
    ItemKind,
    Membership,
    Prompt,
    Ranking,
    ReviewState,
    Withdrawal,
)
from annotation.signals import data_withdrawn
from tests.annotation.pages.conftest import SignIn, sign_in
from tests.world import World, answer, make_prompt, make_ranking_item, make_token, rank, taken

__all__ = ["sign_in"]


@pytest.fixture
def told() -> Iterator[list[Withdrawal]]:
    """What a listener hears."""
    heard: list[Withdrawal] = []

    def listen(withdrawal: Withdrawal, **_signal: object) -> None:
        heard.append(withdrawal)

    data_withdrawn.connect(listen)
    yield heard
    data_withdrawn.disconnect(listen)


@pytest.fixture
def asked(world: World) -> Prompt:
    """An instruction by Alice, with answers wanted."""
    type(world.project).objects.update(instructions_wanted=9, demonstrations_per_prompt=2)
    world.project.refresh_from_db()
    piece = taken(world.project, world.alice, ItemKind.INSTRUCTION)
    return submit_instruction(
        piece,
        client_key=uuid.uuid4(),
        messages=[{"role": "user", "content": "Name my street."}],
        kind="plain",
        use_case="other",
        language="en",
    )


def piece_of(prompt: Prompt) -> Assignment:
    return Assignment.objects.whole().get(prompt=prompt)


def test_a_ranking_taken_back_is_gone_and_its_place_is_free_for_others(world: World, told: list[Withdrawal]) -> None:
    item = make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    ranking = rank(piece)
    withdrawing.withdraw(piece)
    assert not Ranking.objects.exists()
    assert [each.rankings for each in told] == [[ranking.pk]]
    assert Item.objects.get().open_slots == [1]
    assert take(world.project, world.alice) is None
    assert taken(world.project, world.bob).item == item


def test_an_edit_of_the_best_output_goes_with_its_ranking(world: World, told: list[Withdrawal]) -> None:
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    rank(piece)
    improve(piece, completion=piece.shown[0], text="Paris, of course.")
    withdrawing.withdraw(piece)
    assert not Ranking.objects.exists()
    assert not Demonstration.objects.exists()
    assert Completion.objects.count() == 4
    assert told[0].counts() == {"prompts": 0, "demonstrations": 1, "rankings": 2, "completions": 1}


def test_an_instruction_takes_all_that_was_made_of_it_along(
    world: World, asked: Prompt, told: list[Withdrawal]
) -> None:
    kept = make_prompt(world.project, "Name a river.")
    make_ranking_item(world.project, prompt=asked, overlap=2)
    make_ranking_item(world.project, prompt=kept)
    rank(taken(world.project, world.bob, ItemKind.RANKING))
    answered = taken(world.project, world.bob, ItemKind.DEMONSTRATION)
    answer(answered)
    withdrawing.withdraw(piece_of(asked))
    assert list(Prompt.objects.all()) == [kept]
    assert not Demonstration.objects.exists()
    assert not Ranking.objects.exists()
    assert set(Completion.objects.values_list("prompt", flat=True)) == {kept.pk}
    assert told[0].counts() == {"prompts": 1, "demonstrations": 1, "rankings": 1, "completions": 4}
    answered.refresh_from_db()
    assert answered.state == AssignmentState.SUBMITTED  # the work was done all the same
    assert my_work.summary(world.project, world.bob).submitted == 2
    assert Item.objects.exclude(open_slots=[]).filter(prompt=None).count() == 0


def test_whoever_is_at_a_piece_of_it_is_told_and_their_draft_goes(world: World, asked: Prompt, sign_in: SignIn) -> None:
    piece = taken(world.project, world.bob, ItemKind.DEMONSTRATION)
    save_draft(piece, {"text": "Your street is"})
    withdrawing.withdraw(piece_of(asked))
    piece.refresh_from_db()
    assert (piece.state, piece.draft) == (AssignmentState.WITHDRAWN, {})
    with pytest.raises(Refused, match="taken back"):
        submit_demonstration(piece, client_key=uuid.uuid4(), text="Your street is Elm Street.")
    piece.state = AssignmentState.LEASED  # as a page that is still open believes
    save_draft(piece, {"text": "Your street is Elm"})
    with pytest.raises(Refused, match="ran out"):
        submit_demonstration(piece, client_key=uuid.uuid4(), text="Your street is Elm Street.")
    piece.refresh_from_db()
    assert (piece.state, piece.draft) == (AssignmentState.WITHDRAWN, {})
    assert "This piece was taken back" in sign_in(world.bob).get(f"/assignments/{piece.pk}/").content.decode()


def test_edits_of_what_is_taken_back_are_followed_to_their_end(world: World) -> None:
    item = make_ranking_item(world.project)
    first = taken(world.project, world.alice)
    rank(first)
    made = improve(first, completion=first.shown[0], text="Paris, on the river Seine.").completion
    edit = made
    for text in ("Paris, Seine!", "Paris on Seine!"):
        edit = Completion.objects.create(
            prompt=made.prompt, generator=made.generator, text=text, sampling={"edit_of": edit.pk}
        )
    withdrawing.withdraw(first)
    assert set(Completion.objects.values_list("pk", flat=True)) == set(item.completions)


def test_leaving_takes_everything_along_and_nothing_of_anybody_else(world: World, asked: Prompt) -> None:
    kept = make_prompt(world.project, "Name a river.")
    make_ranking_item(world.project, prompt=kept, overlap=2)
    for person in (world.alice, world.bob):
        rank(taken(world.project, person, ItemKind.RANKING), note=f"by {person}")
    held = taken(world.project, world.alice, ItemKind.DEMONSTRATION)
    save_draft(held, {"text": "half a sentence"})
    withdrawing.leave(world.project, world.alice)
    assert [ranking.annotator for ranking in Ranking.objects.all()] == [world.bob]
    assert list(Prompt.objects.all()) == [kept]
    assert not Assignment.objects.filter(annotator=world.alice).exclude(draft={}).exists()
    assert not Assignment.objects.filter(annotator=world.alice, state=AssignmentState.LEASED).exists()
    assert not Membership.objects.filter(user=world.alice).exists()
    entry = AuditEntry.objects.get(action="withdrawn")
    assert entry.details["records"] == {"prompts": 1, "demonstrations": 0, "rankings": 1, "completions": 0}


def test_an_appeal_goes_with_the_piece(world: World) -> None:
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    rank(piece)
    Ranking.objects.update(review=ReviewState.REJECTED)
    appeals.appeal(piece, text="I had my reasons.")
    withdrawing.withdraw(piece)
    assert not Appeal.objects.exists()


def test_there_is_nothing_to_take_back_of_a_piece_that_is_not_submitted(world: World) -> None:
    make_ranking_item(world.project)
    with pytest.raises(Refused, match="nothing of yours"):
        withdrawing.withdraw(taken(world.project, world.alice))


class TestPages:
    def test_a_piece_is_taken_back_after_a_page_that_says_what_happens(self, world: World, sign_in: SignIn) -> None:
        make_ranking_item(world.project)
        piece = taken(world.project, world.alice)
        rank(piece)
        client = sign_in(world.alice)
        address = f"/assignments/{piece.pk}/withdraw/"
        assert address in client.get("/projects/capitals/mine/").content.decode()
        page = client.get(address).content.decode()
        assert "It is removed for good." in page
        assert Ranking.objects.exists()
        assert "Taken back" in client.post(address, follow=True).content.decode()
        assert not Ranking.objects.exists()
        assert sign_in(world.bob).get(address).status_code == 404

    def test_leaving_says_how_much_goes(self, world: World, asked: Prompt, sign_in: SignIn) -> None:
        client = sign_in(world.alice)
        assert "1 instruction, 0 answers, 0 rankings" in client.get("/projects/capitals/mine/leave/").content.decode()
        assert "You have left" in client.post("/projects/capitals/mine/leave/", follow=True).content.decode()
        assert client.get("/projects/capitals/mine/").status_code == 404

    def test_a_script_takes_a_piece_back_too(self, world: World) -> None:
        make_ranking_item(world.project)
        piece = taken(world.project, world.alice)
        rank(piece)
        client = Client(headers={"Authorization": f"Bearer {make_token(world.alice)}"})
        answered = client.post(f"/api/v1/assignments/{piece.pk}/withdraw/")
        assert (answered.status_code, answered.json()["state"]) == (200, "withdrawn")
        assert client.post(f"/api/v1/assignments/{piece.pk}/withdraw/").status_code == 409
