"""Who writes answers qualifies by what reviewers decide on them. Three of Alice's count here."""

from __future__ import annotations

import pytest

from annotation import reviewing, screening
from annotation.models import AuditEntry, Demonstration, ItemKind, Project, ReviewState, User, WorkKind
from tests.annotation.pages.conftest import SignIn, sign_in
from tests.annotation.test_screening import PAGE, as_rosa, ask, measure
from tests.world import World, answer, make_prompt, make_ranking_item, rank, taken

__all__ = ["sign_in"]


@pytest.fixture
def answers(world: World) -> list[Demonstration]:
    ask(world.project, demonstrations_per_prompt=1, qualification_answers=3, qualification_accepted=60)
    for number in range(4):
        make_prompt(world.project, f"Name island number {number}.")
    return [answer(taken(world.project, world.alice, ItemKind.DEMONSTRATION)) for _ in range(4)]


def test_enough_answers_decided_on_and_enough_of_them_accepted_qualify(
    world: World, answers: list[Demonstration]
) -> None:
    standing = standing_of(world.project, world.alice)
    assert (standing.answers.done, standing.passed, standing.failed) == (0, False, False)
    judge(world, answers[0], ReviewState.REJECTED)
    judge(world, answers[1], ReviewState.ACCEPTED)
    standing = standing_of(world.project, world.alice)
    assert (standing.answers.done, standing.answers.share, standing.passed) == (2, 0.5, False)
    judge(world, answers[2], ReviewState.ACCEPTED)
    assert standing_of(world.project, world.alice).passed
    assert screening.qualified(world.project) == {world.alice.pk, world.rosa.pk, world.ada.pk}


def test_below_the_bar_the_next_answers_can_make_up_for_it(world: World, answers: list[Demonstration]) -> None:
    for made, state in zip(answers, [ReviewState.REJECTED, *[ReviewState.ACCEPTED] * 2], strict=False):
        judge(world, made, state)
    ask(world.project, qualification_accepted=75)
    assert standing_of(world.project, world.alice).failed
    judge(world, answers[3], ReviewState.ACCEPTED)
    assert standing_of(world.project, world.alice).passed


def test_what_others_write_and_other_projects_do_not_count(world: World, answers: list[Demonstration]) -> None:
    for made in answers[:3]:
        judge(world, made, ReviewState.ACCEPTED)
    assert not standing_of(world.project, world.bob).passed
    assert set(screening.standings(world.project)) == {world.alice.pk}
    assert screening.standings(world.next_door) == {}


def test_who_is_asked_for_both_qualifies_with_both(world: World, answers: list[Demonstration]) -> None:
    item = make_ranking_item(world.project, prompt=make_prompt(world.project, "Name a volcano."))
    measure(world, item)
    ask(world.project, qualification_pieces=1)
    for made in answers[:3]:
        judge(world, made, ReviewState.ACCEPTED)
    standing = standing_of(world.project, world.alice)
    assert (standing.answers.passed, standing.passed) == (True, False)
    piece = taken(world.project, world.alice, ItemKind.RANKING)
    rank(piece, as_rosa(sorted(piece.shown)))
    assert standing_of(world.project, world.alice).passed


def test_a_researcher_sets_the_bar_within_its_limits(world: World, sign_in: SignIn) -> None:
    settings = {"qualification_pieces": 0, "qualification_bar": 70, "gold_share": 0, "repeat_share": 0}
    client = sign_in(world.rosa)
    wrong = client.post(PAGE, settings | {"qualification_answers": 5, "qualification_accepted": 101})
    assert wrong.status_code == 422
    client.post(PAGE, settings | {"qualification_answers": 5, "qualification_accepted": 90})
    world.project.refresh_from_db()
    assert (world.project.qualification_answers, world.project.qualification_accepted) == (5, 90)
    [changed] = AuditEntry.objects.filter(action="settings_changed")
    assert changed.details["changes"] == {"qualification_answers": [0, 5], "qualification_accepted": [80, 90]}


def test_work_my_work_and_members_say_where_a_person_stands(
    world: World, answers: list[Demonstration], sign_in: SignIn
) -> None:
    judge(world, answers[0], ReviewState.REJECTED)
    alice, ada = sign_in(world.alice), sign_in(world.ada)
    for page in ("work", "mine"):
        assert "1 of 3 answers reviewed" in alice.get(f"/projects/capitals/{page}/").content.decode()
    members = ada.get("/projects/capitals/members/").content.decode()
    assert "1 / 3" in members
    assert "Sets ranked" not in members
    for made in answers[1:3]:
        judge(world, made, ReviewState.REJECTED)
    assert "accepted 0% of your answers" in alice.get("/projects/capitals/work/").content.decode()
    assert "below the bar" in ada.get("/projects/capitals/members/").content.decode()


def judge(world: World, made: Demonstration, state: ReviewState) -> None:
    reviewing.decide(
        world.project, reviewer=world.rita, kind=WorkKind.DEMONSTRATION, pieces=[made.pk], state=state, reason="So."
    )


def standing_of(project: Project, person: User) -> screening.Standing:
    found = screening.standing(project, person)
    assert found is not None
    return found
