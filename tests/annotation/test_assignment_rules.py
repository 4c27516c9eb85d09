"""Any order of taking, submitting, skipping, running out, rejecting and regretting keeps the rules of assignment.

Hypothesis makes up the days; a few lines of Python say what has to hold after each step, and what `take` owes whom.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from itertools import count

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from annotation import assignment as leases
from annotation import empty_queue, reviewing
from annotation.collection import Refused
from annotation.models import (
    Assignment,
    AssignmentState,
    Item,
    Membership,
    Project,
    Ranking,
    ReviewState,
    Role,
    SkipReason,
    User,
    WorkKind,
)
from tests.world import make_person, make_project, make_prompt, make_ranking_item, rank

numbers = count()


class Days(RuleBasedStateMachine):
    """Three annotators, one of whom reads Chinese alone and one who agreed to see harm, and a reviewer."""

    held = Bundle("held")
    ended = Bundle("ended")
    rankings = Bundle("rankings")
    rejected = Bundle("rejected")

    def __init__(self) -> None:
        super().__init__()
        self.undone = transaction.atomic()
        self.undone.__enter__()
        name = f"days-{next(numbers)}"
        self.project: Project = make_project(name=name, slug=name, languages=["en", "zh"], demonstrations_per_prompt=0)
        self.people = [make_person(f"{name}-{number}", self.project, Role.ANNOTATOR) for number in range(3)]
        self.members = {each.user_id: each for each in Membership.objects.filter(project=self.project)}
        Membership.objects.filter(user=self.people[1]).update(languages=["zh"])
        Membership.objects.filter(user=self.people[2]).update(sees_harmful=True)
        self.reviewer = make_person(f"{name}-reviewer", self.project, Role.REVIEWER)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undone.__exit__(None, None, None)

    # ---- what happens ----

    @rule(
        overlap=st.integers(1, 3), language=st.sampled_from(["en", "zh"]), author=st.sampled_from([None, 0, 1, 2]),
        harmful=st.booleans(), priority=st.integers(0, 1),
    )  # fmt: skip
    def a_set_comes_in(self, *, overlap: int, language: str, author: int | None, harmful: bool, priority: int) -> None:
        writer = None if author is None else self.people[author]
        prompt = make_prompt(self.project, f"Prompt {next(numbers)}", language=language, author=writer, harmful=harmful)
        make_ranking_item(self.project, prompt=prompt, overlap=overlap, priority=priority)

    @rule(target=held, person=st.integers(0, 2))
    def somebody_asks(self, person: int) -> object:
        annotator = self.people[person]
        held = Assignment.objects.filter(annotator=annotator, state=AssignmentState.LEASED).first()
        owed = self.owed(annotator)
        taken = leases.take(self.project, annotator)
        if held is not None:
            assert taken == held, "who holds a piece gets it back"
        elif not owed:
            assert taken is None
            assert empty_queue.why(self.project, annotator)
        else:
            assert taken is not None, f"{owed} is open to them"
            rivals = [
                each for each in owed if (each.language, each.harmful) == (taken.item.language, taken.item.harmful)
            ]
            assert self.is_next(taken.item, rivals)
        return multiple() if taken is None else taken

    @rule(target=held, assignment=held)
    def their_next_piece_is_loaded(self, assignment: Assignment) -> object:
        """What is held beside the piece in hand is the same however often it is asked for."""
        if self.state(assignment) != AssignmentState.LEASED:
            return multiple()
        beside = leases.take(self.project, assignment.annotator, after=assignment)
        assert beside != assignment
        assert beside == leases.take(self.project, assignment.annotator, after=assignment)
        return multiple() if beside is None else beside

    @rule(target=rankings, assignment=consumes(held))
    def it_is_submitted_twice(self, assignment: Assignment) -> object:
        key = uuid.uuid4()
        try:
            made = rank(assignment, client_key=key)
        except Refused:
            assert self.state(assignment) != AssignmentState.LEASED, "what is held can be submitted"
            return multiple()
        assert rank(assignment, client_key=key) == made
        return made

    @rule(target=ended, assignment=consumes(held))
    def it_is_skipped(self, assignment: Assignment) -> Assignment:
        leases.skip(assignment, reason=SkipReason.OTHER)
        return assignment

    @rule(target=held, assignment=consumes(ended))
    def the_skip_is_undone(self, assignment: Assignment) -> object:
        return assignment if leases.undo_skip(assignment) else multiple()

    @rule(target=held, assignment=consumes(held))
    def its_lease_runs_out(self, assignment: Assignment) -> Assignment:
        """Whoever held it may still submit it."""
        past = timezone.now() - timedelta(minutes=1)
        Assignment.objects.filter(pk=assignment.pk, state=AssignmentState.LEASED).update(lease_expires_at=past)
        leases.release_expired()
        return assignment

    @rule(target=rejected, ranking=consumes(rankings))
    def it_is_rejected(self, ranking: Ranking) -> Ranking:
        self.decide(ranking, ReviewState.REJECTED)
        return ranking

    @rule(target=rankings, ranking=consumes(rejected))
    def the_rejection_is_regretted(self, ranking: Ranking) -> Ranking:
        self.decide(ranking, ReviewState.ACCEPTED)
        return ranking

    # ---- what holds ----

    @invariant()
    def each_slot_is_open_or_held_by_one(self) -> None:
        for item in self.items():
            slots = [*item.open_slots, *item.assignments.live().values_list("slot", flat=True)]
            assert sorted(slots) == list(range(1, item.overlap + 1)), item

    @invariant()
    def nobody_has_what_is_not_for_them(self) -> None:
        for assignment in Assignment.objects.filter(item__project=self.project).select_related("item", "annotator"):
            assert self.may_see(assignment.annotator, assignment.item)

    @invariant()
    def what_is_submitted_and_what_was_ranked_are_the_same(self) -> None:
        submitted = Assignment.objects.filter(item__project=self.project, state=AssignmentState.SUBMITTED)
        ranked = Ranking.objects.filter(prompt__project=self.project).values_list("assignment", flat=True)
        assert set(submitted.values_list("pk", flat=True)) == set(ranked)

    # ---- said once ----

    def is_next(self, item: Item, rivals: list[Item]) -> bool:
        """The most urgent, then the oldest."""
        return item == min(rivals, key=lambda each: (-each.priority, each.pk))

    def items(self) -> list[Item]:
        return list(Item.objects.filter(project=self.project))

    def may_see(self, annotator: User, item: Item) -> bool:
        member = Membership.objects.get(project=self.project, user=annotator)
        speaks = item.language in (member.languages or self.project.languages)
        return speaks and item.author_id != annotator.pk and (member.sees_harmful or not item.harmful)

    def owed(self, annotator: User) -> list[Item]:
        """What is open to somebody, and they have not done or skipped."""
        past = set(annotator.assignments.exclude(state=AssignmentState.EXPIRED).values_list("item", flat=True))
        return [
            each for each in self.items() if each.open_slots and each.pk not in past and self.may_see(annotator, each)
        ]

    def state(self, assignment: Assignment) -> str:
        return Assignment.objects.get(pk=assignment.pk).state

    def decide(self, ranking: Ranking, state: ReviewState) -> None:
        reviewing.decide(
            self.project, reviewer=self.reviewer, kind=WorkKind.RANKING, pieces=[ranking.pk], state=state, reason="So."
        )


class DaysBehindLongQueues(Days):
    """Only the first open piece is near, so that people go on from their places: what comes is owed, in any order."""

    def is_next(self, item: Item, rivals: list[Item]) -> bool:
        return item in rivals


SETTINGS = hypothesis_settings(max_examples=40, stateful_step_count=20, deadline=None)


def test_the_rules_hold_whatever_the_day_brings(db: None) -> None:
    run_state_machine_as_test(Days, settings=SETTINGS)


def test_they_hold_for_people_who_are_through_with_the_first_pieces(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "NEAR", 1)
    run_state_machine_as_test(DaysBehindLongQueues, settings=SETTINGS)
