"""Screening: from the first qualification set to the bar, gold sets and silent repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from annotation import assignment as leases
from annotation import empty_queue, membership, reviewing, screening, statements
from annotation.assignment import take
from annotation.models import (
    Assignment,
    AssignmentState,
    AuditEntry,
    Item,
    Membership,
    Project,
    Purpose,
    Ranking,
    ReviewState,
    Role,
    SkipReason,
    User,
    WorkKind,
)
from annotation.quality import judgements_of
from annotation.quality.report import report
from annotation.refusals import Refused
from tests.annotation.pages.conftest import SignIn, sign_in
from tests.annotation.query_plans import nodes
from tests.annotation.test_assignment import expire
from tests.world import World, make_prompt, make_ranking_item, rank, taken

__all__ = ["sign_in"]

PAGE = "/projects/capitals/screening/"


def measure(world: World, *items: Item, purpose: Purpose = Purpose.QUALIFICATION) -> None:
    """Rosa chooses the sets and ranks them by their numbers, the lowest best."""
    assert screening.choose(world.project, [item.pk for item in items], purpose=purpose, by=world.rosa) == len(items)
    for item in items:
        item.refresh_from_db()
        rank(screening.answer(item, world.rosa), [[each] for each in sorted(item.completions)])


def decide(world: World, ranking: Ranking, state: ReviewState) -> None:
    reviewing.decide(
        world.project, reviewer=world.rita, kind=WorkKind.RANKING, pieces=[ranking.pk], state=state, reason="Careless."
    )


def ask(project: Project, **settings: Any) -> None:
    Project.objects.filter(pk=project.pk).update(**settings)
    project.refresh_from_db()


def rank_all(project: Project, person: User, order: Callable[[list[int]], list[list[int]]]) -> int:
    """Rank whatever comes until nothing does; how many."""
    count = 0
    while (piece := take(project, person)) is not None:
        rank(piece, order(sorted(piece.shown)))
        count += 1
    return count


def as_rosa(shown: list[int]) -> list[list[int]]:
    return [[each] for each in shown]


def the_other_way_round(shown: list[int]) -> list[list[int]]:
    return as_rosa(shown[::-1])


@pytest.fixture
def screened(world: World) -> list[Item]:
    """Two qualification sets behind an ordinary one."""
    make_ranking_item(world.project, prompt=make_prompt(world.project, "Name a river."), priority=9)
    prompts = [make_prompt(world.project, f"Name city number {number}.") for number in (1, 2)]
    items = [make_ranking_item(world.project, prompt=prompt) for prompt in prompts]
    measure(world, *items)
    ask(world.project, qualification_pieces=2, qualification_bar=70)
    return items


class TestQualification:
    def test_its_sets_come_first_and_to_everybody(self, world: World, screened: list[Item]) -> None:
        for person in (world.alice, world.bob):
            for item in screened:
                piece = taken(world.project, person)
                assert (piece.item, piece.slot) == (item, None)
                rank(piece)
        assert taken(world.project, world.alice).item.purpose == Purpose.NONE

    def test_who_agrees_enough_over_enough_sets_qualifies(self, world: World, screened: list[Item]) -> None:
        rank(taken(world.project, world.alice), as_rosa(sorted(screened[0].completions)))
        standing = screening.standing(world.project, world.alice)
        assert standing is not None
        assert (standing.sets.done, standing.sets.wanted, standing.sets.share, standing.passed) == (1, 2, 1.0, False)
        rank(taken(world.project, world.alice), the_other_way_round(sorted(screened[1].completions)))
        standing = screening.standing(world.project, world.alice)
        assert standing is not None
        assert (standing.sets.share, standing.passed, standing.failed) == (0.5, False, True)
        ask(world.project, qualification_bar=50)
        assert screening.qualified(world.project) == {world.alice.pk, world.rosa.pk, world.ada.pk}

    def test_a_tie_counts_half(self, world: World, screened: list[Item]) -> None:
        for _ in screened:
            rank(taken(world.project, world.alice), [sorted(taken(world.project, world.alice).shown)])
        standing = screening.standing(world.project, world.alice)
        assert standing is not None
        assert standing.sets.share == 0.5

    def test_nobody_has_to_where_none_are_wanted(self, world: World, screened: list[Item]) -> None:
        ask(world.project, qualification_pieces=0)
        assert screening.qualified(world.project) is None
        assert screening.standing(world.project, world.alice) is None
        assert taken(world.project, world.alice).item.purpose == Purpose.NONE

    def test_a_set_without_its_answer_is_given_to_nobody_else(self, world: World) -> None:
        item = make_ranking_item(world.project)
        screening.choose(world.project, [item.pk], purpose=Purpose.QUALIFICATION, by=world.rosa)
        ask(world.project, qualification_pieces=1)
        assert take(world.project, world.alice) is None
        item.refresh_from_db()
        with pytest.raises(Refused, match="not yours"):
            screening.answer(item, world.ada)
        piece = screening.answer(item, world.rosa)
        assert take(world.project, world.alice) is None  # she is at it
        rank(piece)
        assert taken(world.project, world.alice).item == item

    def test_a_daily_cap_holds_for_its_sets_too(self, world: World, screened: list[Item]) -> None:
        membership.limit(world.project.memberships.get(user=world.alice), by=world.ada, languages=[], daily_cap=1)
        rank(taken(world.project, world.alice))
        assert take(world.project, world.alice) is None
        assert "after midnight" in empty_queue.why(world.project, world.alice)

    def test_the_piece_loaded_ahead_is_the_next_set(self, world: World, screened: list[Item]) -> None:
        first = taken(world.project, world.alice)
        ahead = take(world.project, world.alice, after=first)
        assert ahead is not None
        assert [first.item, ahead.item] == screened
        assert take(world.project, world.alice, after=first) == ahead

    def test_rejecting_a_ranking_of_one_asks_nobody_else(self, world: World, screened: list[Item]) -> None:
        ranking = rank(taken(world.project, world.alice))
        decide(world, ranking, ReviewState.REJECTED)
        decide(world, ranking, ReviewState.ACCEPTED)
        item = Item.objects.get(pk=screened[0].pk)
        assert (item.overlap, item.open_slots) == (1, [])

    def test_one_that_ran_out_comes_back_and_one_skipped_does_not(self, world: World, screened: list[Item]) -> None:
        first = taken(world.project, world.alice)
        expire(first)
        leases.release_expired()
        assert taken(world.project, world.alice) == first
        assert Item.objects.get(pk=first.item_id).open_slots == []
        leases.skip(first, reason=SkipReason.OTHER)
        assert Item.objects.get(pk=first.item_id).open_slots == []
        assert taken(world.project, world.alice).item == screened[1]
        assert leases.undo_skip(first)

    def test_a_late_submit_counts_for_no_slot_can_be_taken(self, world: World, screened: list[Item]) -> None:
        piece = taken(world.project, world.alice)
        expire(piece)
        leases.release_expired()
        rank(piece)
        piece.refresh_from_db()
        assert (piece.state, piece.slot) == (AssignmentState.SUBMITTED, None)

    def test_languages_and_what_may_be_harmful_are_respected(self, world: World, screened: list[Item]) -> None:
        Item.objects.filter(pk=screened[0].pk).update(harmful=True)
        Item.objects.filter(pk=screened[1].pk).update(language="zh")
        assert taken(world.project, world.alice).item.purpose == Purpose.NONE

    def test_only_sets_that_nobody_has_begun_can_be_chosen(self, world: World) -> None:
        item = make_ranking_item(world.project, overlap=2)
        taken(world.project, world.alice)
        assert screening.choose(world.project, [item.pk], purpose=Purpose.GOLD, by=world.rosa) == 0

    def test_a_set_given_up_is_an_ordinary_one_again(self, world: World, screened: list[Item]) -> None:
        screening.give_up(screened[0], by=world.rosa)
        again = Item.objects.get(pk=screened[0].pk)
        assert (again.purpose, again.open_slots) == (Purpose.NONE, [1])
        assert [entry.details["purpose"] for entry in AuditEntry.objects.filter(action="screened")] == [
            "",
            "qualification",
        ]


class TestGoldAndRepeats:
    def test_gold_comes_by_its_share_and_everybodys_accuracy_is_on_the_quality_page(self, world: World) -> None:
        gold = make_ranking_item(world.project, prompt=make_prompt(world.project, "Name a sea."))
        make_ranking_item(world.project, prompt=make_prompt(world.project, "Name a river."))
        measure(world, gold, purpose=Purpose.GOLD)
        ask(world.project, gold_share=100)  # the form allows 50 at most
        piece = taken(world.project, world.alice)
        assert piece.item == gold
        rank(piece, as_rosa(sorted(piece.shown)))
        found = report(judgements_of(world.project), researchers=[world.rosa.pk])
        assert [each.gold.value for each in found.annotators if each.who == world.alice.pk] == [1.0]
        ask(world.project, gold_share=0)
        assert taken(world.project, world.bob).item.purpose == Purpose.NONE

    def test_a_repeat_is_the_same_set_in_reverse_once_and_silently(self, world: World, sign_in: SignIn) -> None:
        make_ranking_item(world.project)
        first = taken(world.project, world.alice)
        rank(first, as_rosa(sorted(first.shown)))
        ask(world.project, repeat_share=100)
        again = taken(world.project, world.alice)
        assert (again.item, again.repeat, again.slot) == (first.item, 1, None)
        assert again.shown == first.shown[::-1]
        page = sign_in(world.alice).get(f"/assignments/{again.pk}/").content.decode()
        assert "repeat" not in page.lower()
        rank(again, the_other_way_round(sorted(again.shown)))
        assert take(world.project, world.alice) is None  # once is enough
        found = report(judgements_of(world.project))
        assert [each.consistency.value for each in found.annotators] == [0.0]

    def test_a_piece_in_hand_comes_before_a_repeat(self, world: World) -> None:
        make_ranking_item(world.project)
        make_ranking_item(world.project, prompt=make_prompt(world.project, "Name a river."))
        rank(taken(world.project, world.alice))
        held = taken(world.project, world.alice)
        ask(world.project, repeat_share=100)
        assert taken(world.project, world.alice) == held

    def test_what_only_measures_people_is_told_apart(self, world: World, screened: list[Item]) -> None:
        rank_all(world.project, world.alice, as_rosa)
        asides = screening.asides(world.project)
        assert {piece.item for piece in asides} == set(screened)
        assert {piece.annotator for piece in asides} == {world.alice}


def test_taking_reads_no_more_of_a_long_queue_than_of_a_short_one(world: World, screened: list[Item]) -> None:
    prompt = make_prompt(world.project, "Name a mountain.")
    sample = make_ranking_item(world.project, prompt=prompt)
    Item.objects.bulk_create(
        Item(
            project=world.project, kind="ranking", prompt=prompt, completions=sample.completions, open_slots=[1],
        )
        for _ in range(3_000)
    )  # fmt: skip
    ask(world.project, gold_share=100)
    asked = {
        "project": world.project.pk, "annotator": world.alice.pk, "languages": ["en"], "kinds": ["ranking"],
        "lease": "15 minutes", "purposes": ["gold", "qualification"], "after": None, "near": 100,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("analyze annotation_item; analyze annotation_assignment; analyze annotation_membership")
        cursor.execute("set local enable_seqscan = on")
        cursor.execute(f"explain (analyze, timing off, format json) {statements.TAKE}", asked)
        plan = cursor.fetchone()[0][0]["Plan"]
    read = [node for node in nodes(plan) if node.get("Relation Name") == "annotation_item"]
    assert read
    assert [node["Node Type"] for node in read if node["Node Type"] == "Seq Scan"] == []
    assert max(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in read) <= len(screened)


class TestPages:
    def test_a_researcher_chooses_ranks_and_sets_the_bar(self, world: World, sign_in: SignIn) -> None:
        item = make_ranking_item(world.project)
        client = sign_in(world.rosa)
        assert "What is the capital of France?" in client.get(PAGE).content.decode()
        client.post(f"{PAGE}choose/", {"item": item.pk, "purpose": "qualification"})
        page = client.get(PAGE).content.decode()
        assert "not answered yet" in page
        opened = client.post(f"{PAGE}{item.pk}/answer/", follow=True)
        piece = Assignment.objects.get(item=item, annotator=world.rosa)
        assert opened.redirect_chain[-1][0] == f"/assignments/{piece.pk}/"
        sent = {f"rank_{letter}": place for place, letter in enumerate("abcd", start=1)}
        sent |= {"client_key": "6f1b7f5e-6a4f-4d0e-9b70-0d9a4a1d2c3e"}
        answered = client.post(f"/assignments/{piece.pk}/submit/", sent, follow=True)
        assert answered.redirect_chain[-1][0] == PAGE
        assert "given out" in answered.content.decode()
        settings = {
            "qualification_pieces": 3, "qualification_bar": 80, "qualification_answers": 0,
            "qualification_accepted": 80, "gold_share": 5, "repeat_share": 0,
        }  # fmt: skip
        assert "2 more qualification sets" in client.post(PAGE, settings, follow=True).content.decode()
        world.project.refresh_from_db()
        assert (world.project.qualification_bar, world.project.gold_share) == (80, 5)
        assert client.post(PAGE, settings | {"gold_share": 90}).status_code == 422
        assert sign_in(world.alice).get(PAGE).status_code == 403

    def test_work_my_work_and_members_say_where_a_person_stands(
        self, world: World, screened: list[Item], sign_in: SignIn
    ) -> None:
        rank(taken(world.project, world.alice), as_rosa(sorted(screened[0].completions)))
        client = sign_in(world.alice)
        for page in ("work", "mine"):
            assert "1 of 2 sets ranked" in client.get(f"/projects/capitals/{page}/").content.decode()
        assert "1 / 2" in sign_in(world.ada).get("/projects/capitals/members/").content.decode()
        rank_all(world.project, world.alice, as_rosa)
        assert "You have qualified" in client.get("/projects/capitals/work/").content.decode()
        assert "qualified" in sign_in(world.ada).get("/projects/capitals/members/").content.decode()

    def test_who_has_only_to_qualify_is_shown_the_way(
        self, world: World, screened: list[Item], sign_in: SignIn
    ) -> None:
        Item.objects.filter(purpose=Purpose.NONE).update(open_slots=[])
        client = sign_in(world.alice)
        assert "Start working" in client.get("/projects/capitals/work/").content.decode()
        assert "/assignments/" in client.post("/projects/capitals/work/", follow=True).redirect_chain[-1][0]

    def test_an_annotators_page_does_not_tell_which_sets_measure(
        self, world: World, screened: list[Item], sign_in: SignIn
    ) -> None:
        piece = taken(world.project, world.alice)
        page = sign_in(world.alice).get(f"/assignments/{piece.pk}/").content.decode().lower()
        assert "qualif" not in page
        assert "gold" not in page


def test_a_researcher_who_is_removed_opens_no_answer_of_theirs(world: World, sign_in: SignIn) -> None:
    item = make_ranking_item(world.project)
    measure(world, item)
    piece = Ranking.objects.get().assignment
    assert piece is not None
    Membership.objects.filter(user=world.rosa, role=Role.RESEARCHER).update(role=Role.REVIEWER)
    assert sign_in(world.rosa).get(f"/assignments/{piece.pk}/").status_code == 404
