"""What is an annotator's own: their pieces and time, terms before the first piece, appeals against rejections."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation import appeals, my_work, terms
from annotation.assignment import skip
from annotation.collection import Refused, submit_demonstration
from annotation.models import Appeal, Assignment, Demonstration, ItemKind, ReviewState, SkipReason, Terms, User
from tests.annotation.pages.conftest import SignIn
from tests.world import World, make_prompt, make_ranking_item, make_token, rank, taken

MINE = "/projects/capitals/mine/"


@pytest.fixture
def answered(world: World) -> Assignment:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_prompt(world.project)
    piece = taken(world.project, world.alice, ItemKind.DEMONSTRATION)
    Assignment.objects.update(leased_at=timezone.now() - timedelta(minutes=10))
    piece.refresh_from_db()
    submit_demonstration(piece, client_key=uuid.uuid4(), text="Paris, I am sure.", spent=240)
    return piece


class TestMyWork:
    def test_shows_each_piece_with_its_state(self, world: World, answered: Assignment, sign_in: SignIn) -> None:
        make_ranking_item(world.project)
        skip(taken(world.project, world.alice), reason=SkipReason.NOT_MY_FIELD)
        page = sign_in(world.alice).get(MINE).content.decode()
        assert "Paris, I am sure." in page
        assert "Not my field" in page
        assert f"/assignments/{answered.pk}/edit/" in page
        assert "Paris" not in sign_in(world.bob).get(MINE).content.decode()

    def test_a_rejection_can_be_appealed_against_and_no_longer_changed(
        self, world: World, answered: Assignment, sign_in: SignIn
    ) -> None:
        Demonstration.objects.update(review=ReviewState.REJECTED)
        page = sign_in(world.alice).get(MINE).content.decode()
        assert "rejected" in page
        assert f"/assignments/{answered.pk}/appeal/" in page
        assert f"/assignments/{answered.pk}/edit/" not in page

    def test_counts_pieces_time_and_pace(self, world: World, answered: Assignment) -> None:
        found = my_work.summary(world.project, world.alice)
        assert (found.submitted, found.today) == (1, 1)
        assert found.time == timedelta(minutes=4)
        assert found.pace == pytest.approx(15)

    def test_shows_the_median_time_by_kind(self, world: World, answered: Assignment) -> None:
        for seconds in (10, 20, 60):
            make_ranking_item(world.project)
            piece = taken(world.project, world.alice, ItemKind.RANKING)
            Assignment.objects.filter(pk=piece.pk).update(leased_at=timezone.now() - timedelta(minutes=2))
            piece.refresh_from_db()
            rank(piece, seconds=seconds)
        found = my_work.summary(world.project, world.alice)
        assert found.medians == [(ItemKind.DEMONSTRATION, 240), (ItemKind.RANKING, 20)]

    def test_shows_the_agreement_with_others_once_there_are_enough_pairs(self, world: World, sign_in: SignIn) -> None:
        def rank_together(sets: int) -> None:
            for number in range(sets):
                make_ranking_item(world.project, overlap=2)
                mine = taken(world.project, world.alice, ItemKind.RANKING)
                theirs = taken(world.project, world.bob, ItemKind.RANKING)
                best_first = [[each] for each in sorted(mine.shown)]
                rank(mine, best_first)
                rank(theirs, best_first if number % 2 else best_first[::-1])

        rank_together(4)
        assert my_work.summary(world.project, world.alice).agreement is None
        assert "once you and others have ranked" in sign_in(world.alice).get(MINE).content.decode()
        rank_together(2)
        found = my_work.summary(world.project, world.alice).agreement
        assert found is not None
        assert (found.value, found.pairs) == (0.5, 36)
        assert found.low < 0.5 < found.high
        assert "36 pairs" in sign_in(world.alice).get(MINE).content.decode()

    def test_a_submit_that_says_no_time_counts_what_passed_up_to_a_lease(self, world: World) -> None:
        for minutes in (5, 300):
            make_ranking_item(world.project)
            piece = taken(world.project, world.alice)
            Assignment.objects.filter(pk=piece.pk).update(leased_at=timezone.now() - timedelta(minutes=minutes))
            rank(piece, seconds=None)
        [day] = my_work.timesheet(world.project, world.alice)
        assert day.submitted == 2
        assert day.seconds == pytest.approx(20 * 60, abs=30)

    def test_the_timesheet_comes_as_a_file(self, world: World, answered: Assignment, sign_in: SignIn) -> None:
        answer = sign_in(world.alice).get(f"{MINE}timesheet.csv")
        day = timezone.localdate().isoformat()
        assert answer.content.decode().splitlines() == [
            "day,kind,submitted,skipped,seconds,rate,per,pay,currency", f"{day},demonstration,1,0,240,,,,",
        ]  # fmt: skip

    def test_a_user_name_is_no_formula_in_everybodys_timesheets(
        self, world: World, answered: Assignment, sign_in: SignIn
    ) -> None:
        for name in ("@SUM-1", "+49", "-B2"):
            User.objects.filter(pk=world.alice.pk).update(username=name)
            sheet = sign_in(world.ada).get("/projects/capitals/members/timesheets.csv").content.decode()
            assert sheet.splitlines()[1].startswith(f"'{name},")


class TestTerms:
    @pytest.fixture
    def first(self, world: World) -> Terms:
        make_ranking_item(world.project)
        return Terms.objects.create(project=world.project, version=1, text="Be **fair**.")

    def test_nobody_gets_a_piece_before_agreeing(self, world: World, first: Terms, sign_in: SignIn) -> None:
        client = sign_in(world.alice)
        assert client.post("/projects/capitals/work/")["Location"] == "/projects/capitals/terms/"
        assert not Assignment.objects.exists()
        assert "<strong>fair</strong>" in client.get("/projects/capitals/terms/").content.decode()
        client.post("/projects/capitals/terms/", {"version": 1})
        assert client.post("/projects/capitals/work/")["Location"].startswith("/assignments/")

    def test_the_version_agreed_to_is_kept_with_the_work(self, world: World, first: Terms) -> None:
        terms.accept(first, world.alice)
        piece = taken(world.project, world.alice)
        Terms.objects.create(project=world.project, version=2, text="Be fairer.")
        rank(piece)
        assert Assignment.objects.get().terms == first

    def test_a_new_version_is_asked_for_anew(self, world: World, first: Terms) -> None:
        terms.accept(first, world.alice)
        terms.accept(first, world.alice)
        assert terms.due(world.project, world.alice) is None
        second = Terms.objects.create(project=world.project, version=2, text="Be fairer.")
        assert terms.due(world.project, world.alice) == second
        assert terms.due(world.next_door, world.charlie) is None

    def test_a_script_must_agree_too(self, world: World, first: Terms) -> None:
        api = Client(headers={"Authorization": f"Bearer {make_token(world.alice)}"})
        take = "/api/v1/projects/capitals/queue/take/"
        assert "terms" in api.post(take, {}, content_type="application/json").json()["detail"]
        path = "/api/v1/projects/capitals/terms/"
        assert api.get(path).json() == {"version": 1, "text": "Be **fair**.", "agreed": False}
        assert api.post(path, {"version": 2}, content_type="application/json").status_code == 404
        assert api.post(path, {"version": 1}, content_type="application/json").json()["agreed"] is True
        assert api.post(take, {}, content_type="application/json").status_code == 200


class TestAnAppeal:
    @pytest.fixture
    def rejected(self, answered: Assignment) -> Assignment:
        Demonstration.objects.update(review=ReviewState.REJECTED)
        return answered

    def test_is_against_a_rejection_alone(self, answered: Assignment) -> None:
        with pytest.raises(Refused, match="not rejected"):
            appeals.appeal(answered, text="Why?")

    def test_is_made_once(self, rejected: Assignment) -> None:
        assert appeals.appeal(rejected, text="It is Paris.") == appeals.appeal(rejected, text="Again.")
        assert Appeal.objects.get().text == "It is Paris."

    def test_that_is_granted_accepts_the_work(self, world: World, rejected: Assignment, sign_in: SignIn) -> None:
        sign_in(world.alice).post(f"/assignments/{rejected.pk}/appeal/", {"text": "It is Paris."})
        reviewer = sign_in(world.rita)
        assert "1 appeal against a rejection" in reviewer.get("/projects/capitals/").content.decode()
        page = reviewer.get("/projects/capitals/appeals/").content.decode()
        assert "It is Paris." in page
        path = f"/projects/capitals/appeals/{Appeal.objects.get().pk}/answer/"
        assert sign_in(world.alice).post(path, {"grant": "1"}).status_code == 403
        reviewer.post(path, {"grant": "1"})
        assert Demonstration.objects.get().review == ReviewState.ACCEPTED
        assert Appeal.objects.get().answered_by == world.rita
        assert "granted" in sign_in(world.alice).get(MINE).content.decode()

    def test_that_is_dismissed_is_given_a_reason(self, world: World, rejected: Assignment, sign_in: SignIn) -> None:
        made = appeals.appeal(rejected, text="It is Paris.")
        path, reviewer = f"/projects/capitals/appeals/{made.pk}/answer/", sign_in(world.rita)
        reviewer.post(path, {"dismiss": "1"})
        assert Appeal.objects.get().state == "open"
        reviewer.post(path, {"dismiss": "1", f"{made.pk}-text": "It was copied."})
        assert Demonstration.objects.get().review == ReviewState.REJECTED
        assert "It was copied." in sign_in(world.alice).get(MINE).content.decode()

    def test_is_not_answered_by_its_author(self, world: World, rejected: Assignment) -> None:
        appeals.appeal(rejected, text="It is Paris.")
        assert not appeals.waiting(world.project, world.alice).exists()
        assert appeals.waiting(world.project, world.rita).exists()


def test_the_tutorial_is_there_until_the_first_submit_of_its_kind(
    world: World, answered: Assignment, sign_in: SignIn
) -> None:
    make_prompt(world.project, "And of Italy?")
    make_ranking_item(world.project)
    client = sign_in(world.alice)
    answer = taken(world.project, world.alice, ItemKind.DEMONSTRATION)
    ranking = taken(world.project, world.alice, ItemKind.RANKING)
    assert "Your first piece" not in client.get(f"/assignments/{answer.pk}/").content.decode()
    assert "Your first piece" in client.get(f"/assignments/{ranking.pk}/").content.decode()
