"""What one has submitted may be changed until it is reviewed, frozen or built on; a skip may be taken back."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone

from annotation import assignment as leases
from annotation import editing
from annotation.collection import Refused, save_draft, submit_demonstration, submit_instruction, submit_ranking
from annotation.models import Assignment, AssignmentState, Item, ItemKind, Prompt, ReviewState, SkipReason
from tests.world import World, answer, make_prompt, make_ranking_item, rank, taken

HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def demonstration(world: World) -> Assignment:
    type(world.project).objects.update(demonstrations_per_prompt=1, instructions_wanted=10, languages=["en", "de"])
    world.project.refresh_from_db()
    make_prompt(world.project)
    return taken(world.project, world.alice, ItemKind.DEMONSTRATION)


def edited(assignment: Assignment, text: str = "It is Paris.") -> Any:
    return submit_demonstration(assignment, client_key=uuid.uuid4(), text=text, edit=True)


class TestAnEdit:
    def test_takes_the_place_of_what_was_submitted(self, demonstration: Assignment) -> None:
        first = answer(demonstration)
        changed = edited(demonstration)
        assert (changed.pk, changed.text, changed.created_at) == (first.pk, "It is Paris.", first.created_at)
        assert changed.edited_at is not None

    def test_of_nothing_is_refused(self, demonstration: Assignment) -> None:
        with pytest.raises(Refused, match="not submitted this piece yet"):
            edited(demonstration)

    @pytest.mark.parametrize("review", [ReviewState.ACCEPTED, ReviewState.REJECTED])
    def test_is_refused_after_a_review(self, demonstration: Assignment, review: ReviewState) -> None:
        first = answer(demonstration)
        type(first).objects.update(review=review)
        with pytest.raises(Refused, match="reviewed"):
            edited(demonstration)

    def test_is_refused_once_the_dataset_is_frozen_and_what_comes_later_is_open(
        self, world: World, demonstration: Assignment
    ) -> None:
        answer(demonstration)
        with editing.closed(world.project):
            pass
        with pytest.raises(Refused, match="dataset"):
            edited(demonstration)
        make_prompt(world.project, "And of Italy?")
        later = taken(world.project, world.alice, ItemKind.DEMONSTRATION)
        answer(later, "Rome")
        assert edited(later, "Rome.").text == "Rome."

    def test_is_open_again_where_the_dataset_came_to_nothing(self, world: World, demonstration: Assignment) -> None:
        answer(demonstration)
        with pytest.raises(OSError, match="full"), editing.closed(world.project):
            raise OSError("the disk is full")
        assert edited(demonstration).text == "It is Paris."

    def test_of_a_ranking_must_be_a_ranking_of_what_was_shown(self, world: World) -> None:
        make_ranking_item(world.project)
        piece = taken(world.project, world.alice)
        first = rank(piece)
        a, b, c, d = piece.shown
        content: dict[str, Any] = {"client_key": uuid.uuid4(), "ratings": {}, "flags": {}, "edit": True}
        with pytest.raises(Refused, match="exactly once"):
            submit_ranking(piece, groups=[[a], [b]], **content)
        changed = submit_ranking(piece, groups=[[d], [c, b], [a]], **content)
        assert (changed.pk, changed.groups) == (first.pk, [[d], sorted([c, b]), [a]])


class TestAnEditOfAnInstruction:
    @pytest.fixture
    def instruction(self, world: World, demonstration: Assignment) -> Assignment:
        assignment = taken(world.project, world.bob, ItemKind.INSTRUCTION)
        self.submit(assignment)
        return assignment

    def submit(self, assignment: Assignment, **values: Any) -> Prompt:
        content: dict[str, Any] = {
            "client_key": uuid.uuid4(), "messages": HELLO, "kind": "plain", "use_case": "chat", "language": "en"
        }  # fmt: skip
        return submit_instruction(assignment, **content | values)

    def test_changes_its_words_and_its_piece_of_work(self, instruction: Assignment) -> None:
        said = [{"role": "user", "content": "Sag hallo."}]
        prompt = self.submit(instruction, messages=said, language="de", edit=True)
        prompt.refresh_from_db()
        assert (prompt.text, prompt.language) == ("Sag hallo.", "de")
        assert Item.objects.get(prompt=prompt).language == "de"

    def test_to_a_text_that_is_there_takes_that_texts_split(self, world: World, instruction: Assignment) -> None:
        there = make_prompt(world.project, "Is it raining?")
        prompt = self.submit(instruction, messages=there.messages, edit=True)
        assert (prompt.split, prompt.pool, prompt.digest) == (there.split, there.pool, there.digest)

    def test_is_refused_while_somebody_answers_it(self, world: World, instruction: Assignment) -> None:
        taken(world.project, world.alice, ItemKind.DEMONSTRATION)
        answer(Assignment.objects.get(annotator=world.alice, state="leased"))
        taken(world.project, world.alice, ItemKind.DEMONSTRATION)
        with pytest.raises(Refused, match="Others work with it"):
            self.submit(instruction, use_case="other", edit=True)


class TestUndoingASkip:
    def test_gives_the_piece_back_with_its_draft(self, demonstration: Assignment) -> None:
        save_draft(demonstration, {"text": "Par"})
        leases.skip(demonstration, reason=SkipReason.UNSAFE)
        assert leases.undo_skip(demonstration)
        back = Assignment.objects.get(pk=demonstration.pk)
        assert (back.state, back.skip_reason, back.draft) == (AssignmentState.LEASED, "", {"text": "Par"})
        assert back.finished_at is None
        assert back.lease_expires_at > timezone.now()
        assert Item.objects.get(pk=back.item_id).open_slots == []

    def test_does_nothing_where_somebody_else_has_it(self, world: World, demonstration: Assignment) -> None:
        leases.skip(demonstration, reason=SkipReason.UNSAFE)
        taken(world.project, world.bob, ItemKind.DEMONSTRATION)
        assert not leases.undo_skip(demonstration)
        assert Assignment.objects.get(pk=demonstration.pk).state == AssignmentState.SKIPPED

    def test_twice_takes_one_slot(self, world: World) -> None:
        item = make_ranking_item(world.project, overlap=2)
        piece = taken(world.project, world.alice)
        leases.skip(piece, reason=SkipReason.OTHER)
        assert leases.undo_skip(piece)
        assert leases.undo_skip(piece)
        assert len(Item.objects.get(pk=item.pk).open_slots) == 1

    def test_of_what_is_submitted_is_refused(self, demonstration: Assignment) -> None:
        answer(demonstration)
        assert not leases.undo_skip(demonstration)


def test_the_time_spent_is_kept_and_is_never_more_than_has_passed(world: World, demonstration: Assignment) -> None:
    submit_demonstration(demonstration, client_key=uuid.uuid4(), text="Paris.", spent=1e6)
    spent = Assignment.objects.get(pk=demonstration.pk).seconds
    assert spent is not None
    assert 0 <= spent < 60
