"""The pages of quality and of the leaderboard, as they are served."""

from __future__ import annotations

import re

from annotation.models import Ranking, ReviewState
from tests.annotation.pages.conftest import SignIn
from tests.annotation.quality.scene import make_study
from tests.world import World, make_ranking_item, rank, taken

PROJECT = "/projects/capitals/"


def test_the_quality_page_has_every_annotator_with_their_signals(world: World, sign_in: SignIn) -> None:
    make_study(world)
    page = sign_in(world.rita).get(f"{PROJECT}quality/").content.decode()
    for name in ("alice", "bob", "ada"):
        assert f'<th scope="row">{name}<' in page
    assert "favours the output shown first" in page
    assert "often ties all, or leaves them as shown" in page
    assert "By pair of annotators" in page


def test_what_is_left_out_is_said_beside_what_was_there(world: World, sign_in: SignIn) -> None:
    make_study(world)
    client = sign_in(world.rita)
    whole = agreement_on(client.get(f"{PROJECT}quality/").content.decode())
    page = client.get(f"{PROJECT}quality/", {"annotator": f"person-{world.bob.pk}"}).content.decode()
    assert "these figures are of 80 of 120 rankings" in page
    assert agreement_on(page) > whole
    assert f"{whole}% with everything" in page
    assert "of 120 rankings" not in client.get(f"{PROJECT}quality/", {"since": "nonsense"}).content.decode()


def test_rejected_work_is_left_out_and_counted(world: World, sign_in: SignIn) -> None:
    make_study(world)
    Ranking.objects.filter(annotator=world.bob, pk__lte=Ranking.objects.order_by("pk")[10].pk).update(
        review=ReviewState.REJECTED
    )
    page = sign_in(world.rita).get(f"{PROJECT}quality/").content.decode()
    row = page[page.index(">bob<ul") :]
    assert '<td class="number">36</td>' in row[: row.index("</tr>")]
    assert '<td class="number">4</td>' in row[: row.index("</tr>")]


def test_the_board_ranks_generators_by_name_for_researchers_alone(world: World, sign_in: SignIn) -> None:
    make_study(world)
    page = sign_in(world.rosa).get(f"{PROJECT}leaderboard/").content.decode()
    assert re.findall(r'<th scope="row" dir="auto">(\w+)</th>', page)[:3] == ["one", "two", "three"]
    assert "Twice as long" in page or "effects" not in page
    for person in (world.alice, world.rita):
        answer = sign_in(person).get(f"{PROJECT}leaderboard/")
        assert answer.status_code == 403
        assert b"three" not in answer.content


def test_no_page_of_an_annotator_names_a_generator(world: World, sign_in: SignIn) -> None:
    make_study(world, names=("gen-alpha", "gen-beta", "gen-gamma"), prompts=4)
    make_ranking_item(world.project, generator="gen-delta")
    piece = taken(world.project, world.alice)
    client = sign_in(world.alice)
    for path in ("/", PROJECT, f"{PROJECT}work/", f"/assignments/{piece.pk}/"):
        assert b"gen-" not in client.get(path).content


def test_without_work_the_pages_say_so(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.ada)
    assert "No rankings yet" in client.get(f"{PROJECT}quality/").content.decode()
    assert "Nothing to compare yet" in client.get(f"{PROJECT}leaderboard/").content.decode()
    make_ranking_item(world.project)
    rank(taken(world.project, world.alice))
    assert "Nobody has ranked the same outputs yet" in client.get(f"{PROJECT}quality/").content.decode()


def agreement_on(page: str) -> int:
    found = re.search(r"<dt>Agreement</dt><dd>(\d+)%", page)
    assert found
    return int(found[1])
