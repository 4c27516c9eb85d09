"""What an admin takes from people who hold it: free for others at once, and nothing is lost."""

from __future__ import annotations

from annotation.assignment import release, take
from annotation.collection import save_draft
from annotation.models import AuditEntry, Item, ItemKind, Ranking
from tests.annotation.test_api import Api
from tests.world import World, make_project, make_ranking_item, rank, taken


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
