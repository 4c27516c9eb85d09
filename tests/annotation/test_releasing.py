"""What an admin takes from people who hold it, or they put back: free for others at once, and nothing is lost."""

from __future__ import annotations

import pytest

from annotation.assignment import put_back, release, take
from annotation.collection import save_draft
from annotation.models import Assignment, AuditEntry, Item, ItemKind, Ranking
from tests.annotation.pages.conftest import SignIn, sign_in
from tests.annotation.test_api import Api
from tests.world import World, make_project, make_prompt, make_ranking_item, rank, taken

__all__ = ["sign_in"]


def test_a_released_piece_is_free_for_others_and_says_so_in_the_log(world: World) -> None:
    item = make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    assert take(world.project, world.bob) is None
    assert release(world.project, [piece.pk], by=world.ada) == 1
    assert taken(world.project, world.bob).item == item
    entry = AuditEntry.objects.get(action="released")
    assert (entry.actor_id, entry.project_id, entry.details) == (world.ada.pk, world.project.pk, {"ids": [piece.pk]})


def test_whoever_held_it_keeps_the_draft_and_a_late_submit_counts_while_there_is_room(world: World) -> None:
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    save_draft(piece, {"note": "so far"})
    release(world.project, [piece.pk], by=world.ada)
    piece.refresh_from_db()
    assert (piece.state, piece.draft) == ("expired", {"note": "so far"})
    rank(piece)
    assert Ranking.objects.get().annotator == world.alice
    assert Item.objects.get().open_slots == []


def test_only_what_is_held_in_this_project_is_released_and_once(world: World) -> None:
    make_ranking_item(world.project, overlap=2)
    done, held = taken(world.project, world.alice), taken(world.project, world.bob)
    rank(done)
    other = make_project(name="Other", slug="other")
    assert release(other, [held.pk], by=world.ada) == 0
    assert release(world.project, [done.pk, held.pk, 0], by=world.ada) == 1
    assert release(world.project, [done.pk, held.pk], by=world.ada) == 0
    assert Item.objects.get().open_slots == [held.slot]
    assert AuditEntry.objects.filter(action="released").count() == 1


def test_an_instruction_piece_makes_room_for_another(world: World) -> None:
    type(world.project).objects.update(instructions_wanted=1)
    world.project.refresh_from_db()
    piece = taken(world.project, world.alice, ItemKind.INSTRUCTION)
    assert take(world.project, world.bob) is None
    release(world.project, [piece.pk], by=world.ada)
    assert taken(world.project, world.bob).item.kind == ItemKind.INSTRUCTION


class TestPuttingBack:
    """Alice has a ranking in hand and would rather write."""

    WORK = "/projects/capitals/work/"

    @pytest.fixture
    def held(self, world: World) -> Assignment:
        type(world.project).objects.update(instructions_wanted=3)
        make_ranking_item(world.project)
        piece = taken(world.project, world.alice, ItemKind.RANKING)
        save_draft(piece, {"note": "so far"})
        return piece

    def test_the_piece_is_free_for_others_and_comes_back_with_its_draft(self, world: World, held: Assignment) -> None:
        assert put_back(world.project, world.alice) == 1
        assert put_back(world.project, world.alice) == 0
        again = taken(world.project, world.alice, ItemKind.RANKING)
        assert (again, again.draft, again.skip_reason) == (held, {"note": "so far"}, "")
        put_back(world.project, world.alice)
        assert taken(world.project, world.bob, ItemKind.RANKING).item == held.item
        assert not AuditEntry.objects.exists()

    def test_my_work_says_that_it_is_no_longer_held_and_blames_no_clock(
        self, world: World, held: Assignment, sign_in: SignIn
    ) -> None:
        put_back(world.project, world.alice)
        shown = sign_in(world.alice).get("/projects/capitals/mine/").content.decode()
        assert "no longer held" in shown
        assert "ran out" not in shown

    def test_all_that_is_in_hand_there_is_put_back_and_nothing_of_others(self, world: World, held: Assignment) -> None:
        prompts = [make_prompt(world.project, f"Name lake {number}.") for number in (1, 2)]
        for prompt in prompts:
            make_ranking_item(world.project, prompt=prompt)
        ahead = take(world.project, world.alice, after=held)
        bobs = taken(world.project, world.bob, ItemKind.RANKING)
        assert ahead is not None
        assert put_back(world.project, world.alice) == 2
        assert list(Assignment.objects.filter(state="leased")) == [bobs]

    def test_the_page_offers_the_other_kinds_of_work(self, world: World, held: Assignment, sign_in: SignIn) -> None:
        client = sign_in(world.alice)
        page = client.get(self.WORK).content.decode()
        assert "Put it back" in page
        assert 'value="instruction"' in page
        assert 'value="ranking"' not in page  # that is what she has
        client.post(f"{self.WORK}put-back/", {"kind": "instruction"})
        [mine] = Assignment.objects.filter(annotator=world.alice, state="leased").select_related("item")
        assert mine.item.kind == ItemKind.INSTRUCTION
        answer = client.post(f"{self.WORK}put-back/", follow=True)
        assert answer.redirect_chain[-1][0] == self.WORK
        assert "back in the queue" in answer.content.decode()
        assert not Assignment.objects.filter(state="leased").exists()
        for person, expected in ((world.rita, 403), (world.charlie, 404)):
            assert sign_in(person).post(f"{self.WORK}put-back/").status_code == expected

    def test_the_api_puts_back_and_takes_the_other_kind(self, world: World, held: Assignment) -> None:
        path = "projects/capitals/queue/put-back/"
        sent = {"take_next": True, "kinds": ["instruction"]}
        done = Api(world.alice).post(path, **sent).json()
        assert (done["put_back"], done["next"]["kind"]) == (1, "instruction")
        assert Api(world.alice).post(path).json() == {"put_back": 1, "next": None}
        assert Api(world.rita).post(path).status_code == 403


def test_the_api_lists_and_releases_for_admins_alone(world: World) -> None:
    make_ranking_item(world.project, overlap=2)
    taken(world.project, world.alice)
    bobs = taken(world.project, world.bob)
    for person, expected in ((world.alice, 403), (world.rita, 403), (world.charlie, 404)):
        assert Api(person).get("projects/capitals/leases/").status_code == expected
        assert Api(person).post("projects/capitals/leases/release/", annotator="alice").status_code == expected
    api = Api(world.ada)
    assert [row["annotator"] for row in api.get("projects/capitals/leases/").json()["results"]] == ["alice", "bob"]
    assert api.post("projects/capitals/leases/release/", annotator="alice").json() == {"released": 1}
    assert api.post("projects/capitals/leases/release/", assignments=[bobs.pk]).json() == {"released": 1}
