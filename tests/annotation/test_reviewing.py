"""Accepting, rejecting and taking back: what the verbs do, and what the page does with them."""

from __future__ import annotations

import uuid

import pytest

from annotation import reviewing
from annotation.models import AuditEntry, Demonstration, ItemKind, Project, Review, ReviewState, Role, User, WorkKind
from annotation.refusals import Refused
from tests.annotation.pages.conftest import SignIn, sign_in
from tests.world import World, answer, make_person, make_prompt, make_ranking_item, rank, taken

__all__ = ["sign_in"]

REVIEW = "/projects/capitals/review/"
ACCEPTED, REJECTED, PENDING = ReviewState.ACCEPTED, ReviewState.REJECTED, ReviewState.PENDING


@pytest.fixture
def answers(world: World) -> list[Demonstration]:
    """Three answers by Alice and one by Bob, the last about rivers and in Chinese."""
    Project.objects.update(demonstrations_per_prompt=1, languages=["en", "zh-hans"])
    world.project.refresh_from_db()
    made = []
    for number in range(3):
        make_prompt(world.project, f"Question {number}?", use_case="chat" if number else "open_qa")
        made.append(answer(taken(world.project, world.alice, ItemKind.DEMONSTRATION), f"Answer {number}."))
    make_prompt(world.project, "说出两条河。", language="zh-hans")
    made.append(answer(taken(world.project, world.bob, ItemKind.DEMONSTRATION), "长江和黄河。"))
    return made


def decide(world: World, pieces: list[Demonstration], state: ReviewState, reason: str = "", **values: User) -> int:
    return reviewing.decide(
        world.project, reviewer=values.get("reviewer", world.rita), kind=WorkKind.DEMONSTRATION,
        pieces=[piece.pk for piece in pieces], state=state, reason=reason,
    )  # fmt: skip


def states(pieces: list[Demonstration]) -> list[str]:
    kept = Demonstration.objects.in_bulk([piece.pk for piece in pieces])
    return [kept[piece.pk].review for piece in pieces]


def last_batch(world: World) -> uuid.UUID:
    return reviewing.recent_batches(world.project, world.rita)[0].id


def test_many_are_decided_at_once_and_the_reason_stays_with_each(world: World, answers: list[Demonstration]) -> None:
    assert decide(world, answers[:2], REJECTED, "Not an answer.") == 2
    assert states(answers) == [REJECTED, REJECTED, PENDING, PENDING]
    assert reviewing.reasons(WorkKind.DEMONSTRATION, answers) == {piece.pk: "Not an answer." for piece in answers[:2]}
    (entry,) = AuditEntry.objects.all()
    assert (entry.actor_id, entry.project_id, entry.action) == (world.rita.pk, world.project.pk, "reviewed")
    assert entry.details["ids"] == [piece.pk for piece in answers[:2]]


def test_a_rejection_needs_a_reason(world: World, answers: list[Demonstration]) -> None:
    with pytest.raises(Refused, match="Say why"):
        decide(world, answers, REJECTED, "  ")
    assert states(answers) == [PENDING] * 4


def test_what_stands_so_already_is_not_decided_again(world: World, answers: list[Demonstration]) -> None:
    decide(world, answers[:1], ACCEPTED)
    assert decide(world, answers[:2], ACCEPTED) == 1
    assert Review.objects.count() == 2


def test_nobody_reviews_their_own_work(world: World, answers: list[Demonstration]) -> None:
    reviewer = world.alice
    world.project.memberships.create(user=reviewer, role=Role.REVIEWER)
    assert decide(world, answers, ACCEPTED, reviewer=reviewer) == 1
    assert states(answers) == [PENDING, PENDING, PENDING, ACCEPTED]


def test_work_of_another_project_is_out_of_reach(world: World, answers: list[Demonstration]) -> None:
    assert reviewing.decide(
        world.next_door, reviewer=world.charlie, kind=WorkKind.DEMONSTRATION, pieces=[answers[0].pk], state=ACCEPTED
    ) == 0  # fmt: skip
    decide(world, answers[:1], ACCEPTED)
    with pytest.raises(Refused):
        reviewing.undo(world.next_door, reviewer=world.rita, batch=last_batch(world))


def test_undo_puts_each_piece_back_where_it_was_with_its_reason(world: World, answers: list[Demonstration]) -> None:
    decide(world, answers[:1], REJECTED, "Too short.")
    decide(world, answers[:3], ACCEPTED)
    assert reviewing.undo(world.project, reviewer=world.rita, batch=last_batch(world)) == 3
    assert states(answers) == [REJECTED, PENDING, PENDING, PENDING]
    assert reviewing.reasons(WorkKind.DEMONSTRATION, answers) == {answers[0].pk: "Too short."}
    assert [batch.pieces for batch in reviewing.recent_batches(world.project, world.rita)] == [1]


def test_undo_leaves_what_somebody_decided_since(world: World, answers: list[Demonstration]) -> None:
    decide(world, answers[:2], ACCEPTED)
    batch = last_batch(world)
    decide(world, answers[:1], REJECTED, "On second thought.", reviewer=world.ada)
    assert reviewing.undo(world.project, reviewer=world.rita, batch=batch) == 1
    assert states(answers)[:2] == [REJECTED, PENDING]


def test_nobody_takes_back_what_another_decided(world: World, answers: list[Demonstration]) -> None:
    decide(world, answers[:1], ACCEPTED)
    with pytest.raises(Refused, match="no such decision"):
        reviewing.undo(world.project, reviewer=world.ada, batch=last_batch(world))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {0, 1, 2, 3}),
        ({"state": "accepted"}, {0}),
        ({"annotator": "bob"}, {3}),
        ({"use_case": "chat"}, {1, 2}),
        ({"language": "zh-hans"}, {3}),
        ({"q": "黄河"}, {3}),
        ({"q": "question 1"}, {1}),
        ({"q": "answer 2"}, {2}),
        ({"q": "100%"}, set()),
        ({"kind": "ranking"}, set()),
        ({"state": "nonsense", "page": "nonsense"}, {0, 1, 2, 3}),
    ],
)
def test_the_queue_finds_what_is_asked_for(
    world: World, answers: list[Demonstration], sign_in: SignIn, filters: dict[str, str], expected: set[int]
) -> None:
    decide(world, answers[:1], ACCEPTED)
    if "annotator" in filters:
        filters = {"annotator": str(world.bob.pk)}
    page = sign_in(world.rita).get(REVIEW, filters).content.decode()
    assert {number for number, piece in enumerate(answers) if f'value="{piece.pk}" aria' in page} == expected


def test_a_decision_on_the_page_comes_back_to_the_same_filters(
    world: World, answers: list[Demonstration], sign_in: SignIn
) -> None:
    sent = {"piece": [answers[0].pk], "verb": "reject", "reason": "Wrong city."}
    said = sign_in(world.rita).post(f"{REVIEW}?state=pending", sent, follow=True)
    assert said.redirect_chain == [(f"{REVIEW}?state=pending", 302)]
    assert "1 piece is rejected." in said.content.decode()
    assert states(answers)[0] == REJECTED
    client = sign_in(world.rita)
    assert "Wrong city." in client.get(f"{REVIEW}?state=rejected").content.decode()
    client.post(f"{REVIEW}{last_batch(world)}/undo/", {"filters": "state=pending"})
    assert states(answers)[0] == PENDING


def test_all_that_the_filters_find_are_decided_where_asked(
    world: World, answers: list[Demonstration], sign_in: SignIn
) -> None:
    sign_in(world.rita).post(f"{REVIEW}?use_case=chat", {"everything": "on", "verb": "accept"})
    assert states(answers) == [PENDING, ACCEPTED, ACCEPTED, PENDING]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"verb": "reject"}, "Say why"),
        ({"verb": "accept", "piece": []}, "Mark the work"),
        ({"verb": "burn"}, "Choose what to do"),
    ],
)
def test_what_is_missing_is_said_and_what_was_marked_stays(
    world: World, answers: list[Demonstration], sign_in: SignIn, sent: dict[str, object], said: str
) -> None:
    answered = sign_in(world.rita).post(REVIEW, {"piece": [answers[0].pk], **sent})
    page = answered.content.decode()
    assert answered.status_code == 422
    assert said in page
    assert states(answers) == [PENDING] * 4
    assert (" checked autocomplete" in page) == ("piece" not in sent)


def test_rankings_are_shown_in_their_order_and_without_generators(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("the worse", "the better"), generator="gen-alpha")
    piece = taken(world.project, world.alice)
    shown = dict(zip(("the worse", "the better"), sorted(piece.shown), strict=True))
    ranking = rank(piece, [[shown["the better"]], [shown["the worse"]]])
    client = sign_in(world.rita)
    page = client.get(REVIEW, {"kind": "ranking"}).content.decode()
    assert page.index("the better") < page.index("the worse")
    assert "gen-alpha" not in page
    client.post(f"{REVIEW}?kind=ranking", {"piece": ranking.pk, "verb": "accept"})
    ranking.refresh_from_db()
    assert ranking.review == ACCEPTED


def test_a_long_queue_is_paged(world: World, sign_in: SignIn) -> None:
    author = make_person("zoe", world.project, Role.ANNOTATOR)
    for number in range(30):
        make_prompt(world.project, f"Question {number}?", author=author)
    page = sign_in(world.rita).get(REVIEW, {"kind": "prompt"}).content.decode()
    assert "Page 1 of 2" in page
    assert "?kind=prompt&amp;page=2" in page
    assert page.count('name="piece"') == 25
