"""The pages of quality and of the leaderboard, as they are served."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from annotation import reports
from annotation.models import Ranking, Report, ReviewState
from tests.annotation.pages.conftest import SignIn
from tests.annotation.quality.scene import make_study
from tests.world import World, make_ranking_item, make_token, rank, taken

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


def test_a_large_project_shows_what_is_kept_and_when_it_is_of(
    world: World, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "AT_ONCE", 10)
    make_study(world)
    client = sign_in(world.ada)
    for name in ("quality", "leaderboard"):
        path = f"{PROJECT}{name}/"
        page = client.get(path, {"use_case": "chat"}).content.decode()
        assert "They have not been made yet" in page
        assert "No rankings yet" not in page
        assert "Nothing to compare yet" not in page
        answer = client.post(f"{path}ask/", {"use_case": "chat"})
        assert answer["Location"] == f"{path}?use_case=chat"
        page = client.get(answer["Location"]).content.decode()
        assert f'hx-get="{path}?use_case=chat&amp;phase=' in page
        assert "New figures are being made" in page
        for report in Report.objects.waiting():
            reports.make(report.pk)
        page = client.get(answer["Location"]).content.decode()
        assert re.search(r"As of \d", page)
        assert "New figures are being made" not in page
        assert "Make them anew" in page
    assert "these figures are of" in client.get(f"{PROJECT}quality/", {"use_case": "chat"}).content.decode()


def test_only_who_may_look_may_ask(world: World, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "AT_ONCE", 10)
    make_study(world)
    for name, people in (("quality", (world.alice, world.charlie)), ("leaderboard", (world.alice, world.rita))):
        for person in people:
            assert sign_in(person).post(f"{PROJECT}{name}/ask/").status_code in (403, 404)
            api = {"HTTP_AUTHORIZATION": f"Bearer {make_token(person)}"}
            assert Client().get(f"/api/v1{PROJECT}{name}/", **api).status_code in (403, 404)
    assert not Report.objects.exists()


def test_scripts_get_the_figures_that_the_pages_show(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    make_study(world)
    api = {"HTTP_AUTHORIZATION": f"Bearer {make_token(world.ada)}"}
    at_once = Client().get(f"/api/v1{PROJECT}quality/", {"annotators": str(world.bob.pk)}, **api).json()
    assert (at_once["figures"]["report"]["rankings"], at_once["figures"]["whole"]["rankings"]) == (80, 120)
    board = Client().get(f"/api/v1{PROJECT}leaderboard/", **api).json()["figures"]["boards"][0]
    assert [place["name"] for place in board["places"]][0] == "one"
    monkeypatch.setattr(reports, "AT_ONCE", 10)
    assert Client().get(f"/api/v1{PROJECT}quality/", **api).json()["figures"] is None
    sent = {"annotators": [str(world.bob.pk)]}
    asked = Client().post(f"/api/v1{PROJECT}quality/", sent, content_type="application/json", **api)
    assert (asked.status_code, asked.json()["is_waiting"]) == (202, True)
    reports.make(Report.objects.get().pk)
    kept = Client().get(f"/api/v1{PROJECT}quality/", {"annotators": str(world.bob.pk)}, **api).json()
    assert kept["figures"] == at_once["figures"]
