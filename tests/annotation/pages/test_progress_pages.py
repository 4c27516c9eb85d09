"""Who holds what, and a project in pictures."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.models import Assignment
from annotation.templatetags.plumbline import choice_label, language_name
from tests.annotation.pages.conftest import SignIn
from tests.annotation.quality.scene import make_study
from tests.world import World, make_ranking_item, rank, taken

LEASES, CHARTS = "/projects/capitals/leases/", "/projects/capitals/charts/"


def test_the_page_shows_who_holds_what_and_releases_all_of_a_person(world: World, sign_in: SignIn) -> None:
    for _item in range(3):
        make_ranking_item(world.project)
    pieces = [taken(world.project, world.alice), taken(world.project, world.bob)]
    Assignment.objects.filter(pk=pieces[1].pk).update(lease_expires_at=timezone.now() + timedelta(days=400))
    client = sign_in(world.ada)
    page = client.get(LEASES).content.decode()
    assert page.count('name="piece"') == 2
    assert f"{timezone.now() + timedelta(days=400):%Y-%m-%d}" in page
    assert 'href="/projects/capitals/leases/"' in client.get("/projects/capitals/").content.decode()
    page = client.post(f"{LEASES}release/", {"piece": [piece.pk for piece in pieces]}, follow=True).content.decode()
    assert "2 pieces are free for others." in page
    assert "Nobody has anything in work" in page


def test_the_page_draws_what_there_is_and_says_it_in_words_and_tables(world: World, sign_in: SignIn) -> None:
    make_study(world)
    make_ranking_item(world.project)
    rank(taken(world.project, world.alice))
    page = sign_in(world.rita).get(CHARTS).content.decode()
    assert "Done a day" in page
    assert "Agreement by week" in page
    assert "Rankings: from 0 on " in page
    assert "style=" not in page
    assert "Charts" in sign_in(world.rita).get("/projects/capitals/").content.decode()
    assert CHARTS not in sign_in(world.alice).get("/projects/capitals/").content.decode()


def test_a_project_with_nothing_in_it_has_a_page_too(world: World, sign_in: SignIn) -> None:
    page = sign_in(world.rosa).get(CHARTS).content.decode()
    assert "No curves yet" in page
    assert "No instructions yet." in page


@pytest.mark.parametrize(
    ("code", "name"), [("zh", "中文"), ("zh-hans", "简体中文"), ("EN", "English"), ("de", "Deutsch"), ("xx", "Xx")]
)
def test_a_language_is_called_as_it_calls_itself(code: str, name: str) -> None:
    assert language_name(code) == name
    assert choice_label(code) == (name if code != "xx" else "xx")
