"""What was pasted into a text is a signal for reviewers, and the writer is told that it is counted."""

from __future__ import annotations

import uuid

import pytest

from annotation.models import Assignment, Demonstration, ItemKind, ReviewState
from annotation.quality import Written, mostly_pasted
from tests.annotation.pages.conftest import SignIn
from tests.world import World, make_prompt, taken

TEXT = "Paris, on the Seine."  # 20 characters


@pytest.fixture
def piece(world: World) -> Assignment:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_prompt(world.project)
    return taken(world.project, world.alice, ItemKind.DEMONSTRATION)


@pytest.mark.parametrize(("counted", "share"), [("5", 0.25), ("0", 0), ("900", 1), ("", None)])
def test_the_share_is_kept_with_the_piece(
    world: World, piece: Assignment, sign_in: SignIn, counted: str, share: float | None
) -> None:
    sent = {"client_key": str(uuid.uuid4()), "text": TEXT, "pasted": counted}
    assert sign_in(world.alice).post(f"/assignments/{piece.pk}/submit/", sent).status_code == 302
    piece.refresh_from_db()
    assert piece.pasted == share
    assert Demonstration.objects.get().review == ReviewState.PENDING


def test_it_survives_a_reload_with_the_draft(world: World, piece: Assignment, sign_in: SignIn) -> None:
    client = sign_in(world.alice)
    client.post(f"/assignments/{piece.pk}/draft/", {"text": TEXT, "pasted": "7"})
    page = client.get(f"/assignments/{piece.pk}/").content.decode()
    assert 'name="pasted" value="7"' in page
    assert "Pasting is counted" in page


def test_reviewers_see_it_beside_the_text_and_by_person(world: World, piece: Assignment, sign_in: SignIn) -> None:
    sent = {"client_key": str(uuid.uuid4()), "text": TEXT, "pasted": "17"}
    sign_in(world.alice).post(f"/assignments/{piece.pk}/submit/", sent)
    assert "85% pasted" in sign_in(world.rita).get("/projects/capitals/review/").content.decode()
    assert "Mostly pasted" in sign_in(world.rita).get("/projects/capitals/quality/").content.decode()


def test_only_texts_that_were_counted_are_in_the_share_of_mostly_pasted_ones() -> None:
    shares = [0.0, 0.5, 0.51, 1.0, None]
    found = mostly_pasted(Written(1, None, share) for share in shares)
    assert (found.value, found.pairs) == (0.5, 4)


def test_its_interval_is_wilsons() -> None:
    found = mostly_pasted([*[Written(1, None, 1.0)] * 8, *[Written(1, None, 0.0)] * 2])
    assert (round(found.low, 4), round(found.high, 4)) == (0.4902, 0.9433)
    assert mostly_pasted([Written(1, None, 0.0)]).low == pytest.approx(0)
