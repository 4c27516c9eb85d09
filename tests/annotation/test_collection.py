"""Submits: what counts, what is refused, what is kept."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from annotation import assignment as leases
from annotation.collection import (
    Refused,
    save_draft,
    submit_demonstration,
    submit_instruction,
)
from annotation.models import Assignment, AssignmentState, Demonstration, Item, ItemKind, Prompt, Ranking, SkipReason
from tests.world import World, answer, make_prompt, make_ranking_item, rank, taken

HELLO = [{"role": "user", "content": "Say hello."}]


def run_out(assignment: Assignment) -> None:
    Assignment.objects.filter(pk=assignment.pk).update(lease_expires_at=Now() - timedelta(seconds=1))
    leases.release_expired()


@pytest.fixture
def ranking(world: World) -> Assignment:
    make_ranking_item(world.project)
    return taken(world.project, world.alice)


class TestARanking:
    def test_is_kept_with_all_that_came_with_it(self, world: World, ranking: Assignment) -> None:
        a, b, c, d = ranking.shown
        record = rank(
            ranking,
            [[b], [d, a], [c]],
            ratings={a: 7},
            flags={c: {"hallucination": "yes", "opinion": "na"}},
            note=" Hm. ",
        )
        record.refresh_from_db()
        assert record.groups == [[b], sorted([a, d]), [c]]
        assert record.shown == ranking.shown
        assert record.ratings == {str(a): 7}
        assert record.flags == {str(c): {"hallucination": "yes", "opinion": "na"}}
        assert (record.note, record.seconds) == ("Hm.", 12.5)
        assert record.guidelines == world.project.current_guidelines()

    def test_is_the_annotators_own(self, world: World, ranking: Assignment) -> None:
        assert rank(ranking).annotator == world.alice

    def test_ends_the_assignment(self, ranking: Assignment) -> None:
        rank(ranking)
        ranking.refresh_from_db()
        assert ranking.state == AssignmentState.SUBMITTED
        assert ranking.finished_at is not None

    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(lambda ids: [[i] for i in ids[:-1]], id="one is missing"),
            pytest.param(lambda ids: [[i] for i in [*ids[:-1], ids[0]]], id="one is twice, one is missing"),
            pytest.param(lambda ids: [[i] for i in [*ids, ids[0]]], id="one is twice"),
            pytest.param(lambda ids: [[i] for i in [*ids[:-1], 10**9]], id="one was not shown"),
            pytest.param(lambda ids: [[], *[[i] for i in ids]], id="a group is empty"),
        ],
    )
    def test_must_be_exactly_the_outputs_shown(self, ranking: Assignment, spoil: Any) -> None:
        with pytest.raises(Refused, match="exactly once"):
            rank(ranking, spoil(ranking.shown))
        assert not Ranking.objects.exists()
        assert Assignment.objects.get().state == AssignmentState.LEASED

    @pytest.mark.parametrize("rating", [0, 8, 2.5, True])
    def test_has_ratings_from_1_to_7(self, ranking: Assignment, rating: Any) -> None:
        with pytest.raises(Refused, match="1 to 7"):
            rank(ranking, ratings={ranking.shown[0]: rating})

    @pytest.mark.parametrize(
        ("flags", "reason"),
        [({"rude": "yes"}, "no flag 'rude'"), ({"opinion": "perhaps"}, "yes, no or na")],
    )
    def test_has_flags_that_the_project_knows(self, ranking: Assignment, flags: dict[str, str], reason: str) -> None:
        with pytest.raises(Refused, match=reason):
            rank(ranking, flags={ranking.shown[0]: flags})

    def test_says_nothing_about_outputs_that_were_not_shown(self, ranking: Assignment) -> None:
        with pytest.raises(Refused, match="not shown"):
            rank(ranking, ratings={10**9: 3})
        with pytest.raises(Refused, match="not shown"):
            rank(ranking, flags={10**9: {"opinion": "yes"}})


class TestSendingTwice:
    def test_counts_once_and_answers_the_same(self, ranking: Assignment) -> None:
        key = uuid.uuid4()
        first = rank(ranking, client_key=key)
        assert rank(ranking, client_key=key) == first
        assert Ranking.objects.count() == 1

    def test_with_other_content_is_refused(self, ranking: Assignment) -> None:
        key = uuid.uuid4()
        first = rank(ranking, client_key=key)
        with pytest.raises(Refused, match="other content"):
            rank(ranking, [list(ranking.shown)], client_key=key)
        assert Ranking.objects.get().groups == first.groups

    def test_with_another_key_is_refused(self, ranking: Assignment) -> None:
        rank(ranking)
        with pytest.raises(Refused, match="already"):
            rank(ranking)

    def test_with_the_key_of_another_piece_is_refused(self, world: World, ranking: Assignment) -> None:
        key = uuid.uuid4()
        rank(ranking, client_key=key)
        make_ranking_item(world.project)
        with pytest.raises(Refused, match="another piece"):
            rank(taken(world.project, world.alice), client_key=key)
        assert Ranking.objects.count() == 1

    def test_is_no_matter_between_two_people(self, world: World, ranking: Assignment) -> None:
        key = uuid.uuid4()
        rank(ranking, client_key=key)
        make_ranking_item(world.project)
        rank(taken(world.project, world.bob), client_key=key)
        assert Ranking.objects.count() == 2


class TestALateSubmit:
    def test_counts_where_the_slot_is_still_free(self, world: World, ranking: Assignment) -> None:
        run_out(ranking)
        rank(ranking)
        assert Item.objects.get().open_slots == []
        assert Assignment.objects.get().state == AssignmentState.SUBMITTED
        assert leases.take(world.project, world.bob) is None

    def test_counts_before_the_sweep_has_come(self, ranking: Assignment) -> None:
        Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(hours=1))
        rank(ranking)
        assert leases.release_expired() == 0

    def test_is_kept_where_others_have_done_the_piece(self, world: World, ranking: Assignment) -> None:
        run_out(ranking)
        rank(taken(world.project, world.bob))
        with pytest.raises(Refused, match="Your work is kept"):
            rank(ranking, note="What I thought.")
        kept = Assignment.objects.get(annotator=world.alice)
        assert kept.draft["late"]["groups"] == [["a"], ["b"], ["c"], ["d"]]
        assert kept.draft["late"]["note"] == "What I thought."
        assert Ranking.objects.count() == 1

    def test_counts_after_a_skip_that_was_thought_better_of(self, ranking: Assignment) -> None:
        leases.skip(ranking, reason=SkipReason.OTHER)
        rank(ranking)
        assert Item.objects.get().open_slots == []

    def test_of_an_instruction_always_counts(self, world: World) -> None:
        world.project.instructions_wanted = 1
        assignment = taken(world.project, world.alice)
        run_out(assignment)
        submit_instruction(
            assignment, client_key=uuid.uuid4(), messages=HELLO, kind="plain", use_case="other", language="en"
        )
        assert Prompt.objects.get().author == world.alice


class TestADemonstration:
    @pytest.fixture
    def demonstration(self, world: World) -> Assignment:
        world.project.demonstrations_per_prompt = 1
        make_prompt(world.project)
        return taken(world.project, world.alice)

    def test_is_the_annotators_answer_to_the_prompt(self, world: World, demonstration: Assignment) -> None:
        record = answer(demonstration, "  Paris.\r\nOf course.\n")
        assert record.text == "Paris.\nOf course."
        assert record.author == world.alice
        assert record.prompt == demonstration.item.prompt

    @pytest.mark.parametrize(("text", "reason"), [(" \n", "empty"), ("x" * 16_001, "at most 16000")])
    def test_is_neither_empty_nor_too_long(self, demonstration: Assignment, text: str, reason: str) -> None:
        with pytest.raises(Refused, match=reason):
            answer(demonstration, text)

    def test_keeps_what_the_database_can_not(self, demonstration: Assignment) -> None:
        assert answer(demonstration, "a\x00b\ud800c").text == "a\ufffdb\ufffdc"

    def test_sent_twice_counts_once(self, demonstration: Assignment) -> None:
        key = uuid.uuid4()
        first = submit_demonstration(demonstration, client_key=key, text="Paris.")
        assert submit_demonstration(demonstration, client_key=key, text="Paris. ") == first
        with pytest.raises(Refused, match="other content"):
            submit_demonstration(demonstration, client_key=key, text="London.")

    def test_is_not_taken_for_a_ranking(self, demonstration: Assignment) -> None:
        with pytest.raises(Refused, match="write an answer"):
            rank(demonstration)


class TestAnInstruction:
    @pytest.fixture
    def instruction(self, world: World) -> Assignment:
        world.project.instructions_wanted = 10
        world.project.demonstrations_per_prompt = 2
        world.project.save()
        return taken(world.project, world.alice, ItemKind.INSTRUCTION)

    def submit(self, assignment: Assignment, **values: Any) -> Prompt:
        content: dict[str, Any] = {
            "client_key": uuid.uuid4(), "messages": HELLO, "kind": "plain", "use_case": "chat", "language": "en"
        }  # fmt: skip
        return submit_instruction(assignment, **content | values)

    def test_is_a_prompt_of_its_author_that_waits_for_answers(self, world: World, instruction: Assignment) -> None:
        prompt = self.submit(instruction)
        assert (prompt.author, prompt.assignment, prompt.text) == (world.alice, instruction, "Say hello.")
        waiting = Item.objects.get(kind=ItemKind.DEMONSTRATION)
        assert (waiting.prompt, waiting.overlap, waiting.author) == (prompt, 2, world.alice)

    def test_sent_twice_counts_once(self, instruction: Assignment) -> None:
        key = uuid.uuid4()
        first = self.submit(instruction, client_key=key)
        assert self.submit(instruction, client_key=key) == first
        with pytest.raises(Refused, match="other content"):
            self.submit(instruction, client_key=key, use_case="other")
        assert Prompt.objects.count() == 1

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ({"language": "fr"}, "language is 'fr'"),
            ({"kind": "long"}, "kind is 'long'"),
            ({"use_case": "poetry"}, "use case is 'poetry'"),
            ({"messages": []}, "by none"),
            ({"messages": [{"role": "assistant", "content": "Hi"}]}, "by assistant"),
            ({"messages": HELLO * 2}, "by user, user"),
            ({"messages": [*HELLO, {"role": "assistant", "content": "Hi"}]}, "by user, assistant"),
            ({"messages": [{"role": "user", "content": "x" * 8_001}]}, "at most 8000"),
            ({"messages": [{"role": "root", "content": "x"}]}, "'root'"),
            ({"messages": ["x"]}, "object"),
        ],
    )
    def test_is_refused_with_the_reason(self, instruction: Assignment, values: dict[str, Any], reason: str) -> None:
        with pytest.raises(Refused, match=reason):
            self.submit(instruction, **values)
        assert Assignment.objects.get().state == AssignmentState.LEASED

    def test_may_be_a_chat_after_a_message_of_the_system(self, instruction: Assignment) -> None:
        chat = [{"role": "system", "content": "Be brief."}, *HELLO, {"role": "assistant", "content": "Hello."}, *HELLO]
        prompt = self.submit(instruction, messages=chat)
        assert prompt.as_column() == chat


class TestADraft:
    def test_is_kept_and_keeps_the_lease(self, ranking: Assignment) -> None:
        Assignment.objects.update(lease_expires_at=timezone.now())
        save_draft(ranking, {"note": "so far"})
        ranking.refresh_from_db()
        assert ranking.draft == {"note": "so far"}
        assert ranking.lease_expires_at > timezone.now()

    def test_that_comes_after_its_submit_changes_nothing(self, ranking: Assignment) -> None:
        rank(ranking)
        save_draft(ranking, {"note": "late autosave"})
        assert Assignment.objects.get().draft == {}

    def test_is_kept_after_the_lease_ran_out(self, ranking: Assignment) -> None:
        run_out(ranking)
        save_draft(ranking, {"note": "typed on a train"})
        kept = Assignment.objects.get()
        assert kept.draft == {"note": "typed on a train"}
        assert kept.state == AssignmentState.EXPIRED
        assert kept.lease_expires_at < timezone.now()

    def test_has_a_limit(self, ranking: Assignment) -> None:
        with pytest.raises(Refused, match="too long"):
            save_draft(ranking, {"note": "x" * 400_001})


class TestTheDatabaseItselfRefuses:
    """Whatever the code above it does."""

    def refuses(self, constraint: str, write: Any) -> None:
        def write_and_check() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                write()
                cursor.execute("set constraints all immediate")

        with pytest.raises(IntegrityError, match=constraint):
            write_and_check()

    def test_a_ranking_that_is_not_what_was_shown(self, ranking: Assignment) -> None:
        record = rank(ranking)
        a, b, c, d = ranking.shown
        for groups in (
            [[a, b], [c]],
            [[a], [b], [c], [d], [a]],
            [[a, b, c, d], []],
            [],
            {},
            [a, b, c, d],
            [[a, a, b, c]],
        ):
            self.refuses("ranking_orders_exactly", lambda groups=groups: Ranking.objects.update(groups=groups))
        assert Ranking.objects.filter(pk=record.pk).update(groups=[[d, a], [c, b]]) == 1

    def test_an_order_shown_that_is_not_the_assignments(self, ranking: Assignment) -> None:
        rank(ranking)
        other_order = ranking.shown[::-1]
        self.refuses("ranking_was_shown", lambda: Ranking.objects.update(shown=other_order))
        self.refuses("ranking_was_shown", lambda: Assignment.objects.update(shown=other_order))

    def test_a_second_live_assignment_in_a_slot(self, world: World, ranking: Assignment) -> None:
        twin = {"item": ranking.item, "lease_expires_at": timezone.now(), "shown": ranking.shown}
        self.refuses(
            "assignment_slot_held_once", lambda: Assignment.objects.create(annotator=world.bob, slot=1, **twin)
        )
        self.refuses(
            "assignment_once_per_annotator", lambda: Assignment.objects.create(annotator=world.alice, slot=2, **twin)
        )

    def test_slots_past_the_overlap(self, ranking: Assignment) -> None:
        self.refuses("item_open_slots", lambda: Item.objects.update(open_slots=[2]))
        self.refuses("item_open_slots", lambda: Item.objects.update(open_slots=[0]))
        self.refuses("item_open_slots", lambda: Item.objects.update(open_slots=[1, 1]))

    def test_a_split_that_is_not_its_wordings(self, world: World) -> None:
        prompt = make_prompt(world.project)
        other = "train" if prompt.split != "train" else "test"
        self.refuses("prompt_split_is_its_wordings", lambda: Prompt.objects.update(split=other))

    def test_two_demonstrations_of_one_assignment(self, world: World) -> None:
        world.project.demonstrations_per_prompt = 1
        make_prompt(world.project)
        record = answer(taken(world.project, world.alice))
        self.refuses(
            "assignment_id",
            lambda: Demonstration.objects.create(prompt=record.prompt, assignment=record.assignment, text="again"),
        )
