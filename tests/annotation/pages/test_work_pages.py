"""The pages of work as a client without JavaScript sees them."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from annotation.assignment import release_expired, skip
from annotation.forms import InstructionForm
from annotation.models import ApiToken, Assignment, AssignmentState, ItemKind, Prompt, Ranking, SkipReason
from tests.annotation.pages.conftest import SignIn
from tests.world import World, make_prompt, make_ranking_item, taken


def path_of(assignment: Assignment, verb: str = "") -> str:
    return f"/assignments/{assignment.pk}/{verb}"


def ranks(**values: Any) -> dict[str, Any]:
    return {"client_key": str(uuid.uuid4()), **{f"rank_{key}": rank for key, rank in values.items()}}


def test_equal_ranks_are_a_tie_and_gaps_mean_nothing(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    sign_in(world.alice).post(path_of(piece, "submit/"), ranks(a=4, b=2, c=2, d=1))
    a, b, c, d = piece.shown
    assert Ranking.objects.get().groups == [[d], sorted([b, c]), [a]]


def test_a_ranking_with_a_gap_is_sent_back_with_what_was_chosen(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    answer = sign_in(world.alice).post(path_of(piece, "submit/"), ranks(a=1, b=2, d=3) | {"note": "kept"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Output C has no rank yet." in page
    assert re.search(r'name="rank_b" value="2" checked', page)
    assert "kept" in page
    assert not Ranking.objects.exists()


def test_a_rank_that_is_not_on_the_page_is_refused(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    assert sign_in(world.alice).post(path_of(piece, "submit/"), ranks(a=1, b=3)).status_code == 422


def test_a_draft_fills_the_form_again(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    client = sign_in(world.alice)
    sent = {"rank_a": "2", "rating_a": "7", "flag_a_opinion": "na", "note": "half", "client_key": "x", "other": "y"}
    assert client.post(path_of(piece, "draft/"), sent).json()["saved"] is True
    piece.refresh_from_db()
    assert piece.draft == {"rank_a": "2", "rating_a": "7", "flag_a_opinion": "na", "note": "half"}
    page = client.get(path_of(piece)).content.decode()
    for name, value in (("rank_a", "2"), ("rating_a", "7"), ("flag_a_opinion", "na")):
        assert f'name="{name}" value="{value}" checked' in page


def test_the_same_submit_twice_counts_once_and_leads_on_both_times(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    make_ranking_item(world.project, texts=("three", "four"), prompt=make_prompt(world.project, "Another?"))
    piece = taken(world.project, world.alice)
    client, sent = sign_in(world.alice), ranks(a=1, b=2)
    first, second = (client.post(path_of(piece, "submit/"), sent) for _time in range(2))
    assert first["Location"] == second["Location"] != path_of(piece)
    assert Ranking.objects.count() == 1


def test_what_was_submitted_is_not_asked_again(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    client = sign_in(world.alice)
    client.post(path_of(piece, "submit/"), ranks(a=1, b=2))
    assert "This piece is done" in client.get(path_of(piece)).content.decode()
    other = client.post(path_of(piece, "submit/"), ranks(a=2, b=1))
    assert "already" in other.content.decode()
    assert Ranking.objects.get().groups == [[piece.shown[0]], [piece.shown[1]]]


def test_a_late_submit_counts_while_the_slot_is_free_and_the_page_says_so(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    assert release_expired() == 1
    client = sign_in(world.alice)
    assert "its time ran out" in client.get(path_of(piece)).content.decode()
    client.post(path_of(piece, "submit/"), ranks(a=1, b=2))
    assert Ranking.objects.count() == 1


def test_a_submit_that_comes_too_late_is_told_so(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    release_expired()
    taken(world.project, world.bob)
    answer = sign_in(world.alice).post(path_of(piece, "submit/"), ranks(a=1, b=2))
    assert answer.status_code == 422
    assert "Your work is kept" in answer.content.decode()


def test_what_came_too_late_is_in_the_form_again_and_counts_once_a_place_is_free(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    release_expired()
    other = taken(world.project, world.bob)
    client = sign_in(world.alice)
    sent = ranks(a=2, b=1) | {"note": "late", "rating_a": "3", "flag_b_opinion": "no"}
    client.post(path_of(piece, "submit/"), sent)
    page = client.get(path_of(piece)).content.decode()
    assert "others had done the piece" in page
    for name, value in (("rank_a", "2"), ("rank_b", "1"), ("rating_a", "3"), ("flag_b_opinion", "no")):
        assert f'name="{name}" value="{value}" checked' in page
    assert "late</textarea>" in page
    skip(other, reason=SkipReason.OTHER)
    client.post(path_of(piece, "submit/"), sent)
    assert Ranking.objects.get().annotator == world.alice


def test_a_late_instruction_of_several_turns_is_taken_apart_again(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(instructions_wanted=1)
    world.project.refresh_from_db()
    piece = taken(world.project, world.alice, ItemKind.INSTRUCTION)
    sent = {
        "kind": "plain", "use_case": "chat", "language": "en", "system": "Be brief.",
        "turn_1": "Hi.", "reply_1": "Hello.", "text": "Who are you?",
    }  # fmt: skip
    client = sign_in(world.alice)
    client.post(path_of(piece, "submit/"), sent | {"client_key": str(uuid.uuid4())})
    prompt = Prompt.objects.get()
    assert [(turn["role"], turn["content"]) for turn in prompt.messages] == [
        ("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello."), ("user", "Who are you?"),
    ]  # fmt: skip
    assert InstructionForm(piece, record=prompt).initial == sent


def test_a_few_shot_instruction_is_taken_apart_again(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(instructions_wanted=1)
    world.project.refresh_from_db()
    piece = taken(world.project, world.alice, ItemKind.INSTRUCTION)
    pairs = {f"{name}_{number}": f"{name} {number}" for number in (1, 2, 3, 4) for name in ("example", "answer")}
    sent = {
        "kind": "few_shot",
        "use_case": "other",
        "language": "en",
        "text": "Do so.\n\nAlways.",
        "query": "?",
        **pairs,
    }
    sign_in(world.alice).post(path_of(piece, "submit/"), sent | {"client_key": str(uuid.uuid4())})
    prompt = Prompt.objects.get()
    assert len(prompt.messages) == 9
    assert InstructionForm(piece, record=prompt).initial == sent


def test_a_script_that_submits_is_told_where_to_go_on(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    answer = sign_in(world.alice).post(
        path_of(piece, "submit/"), ranks(a=1, b=2), headers={"accept": "application/json"}
    )
    assert answer.json() == {"next": "/projects/capitals/work/?nothing"}


def test_a_submitted_ranking_is_changed_until_it_is_reviewed(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    client = sign_in(world.alice)
    assert client.get(path_of(piece, "edit/")).status_code == 404
    client.post(path_of(piece, "submit/"), ranks(a=1, b=2) | {"rating_b": "4"})
    page = client.get(path_of(piece, "edit/")).content.decode()
    assert re.search(r'name="rank_b" value="2" checked', page)
    assert re.search(r'name="rating_b" value="4" checked', page)
    client.post(path_of(piece, "edit/"), ranks(a=2, b=1))
    assert Ranking.objects.get().groups == [[piece.shown[1]], [piece.shown[0]]]
    Ranking.objects.update(review="accepted")
    assert client.get(path_of(piece, "edit/"))["Location"] == path_of(piece)
    assert client.post(path_of(piece, "edit/"), ranks(a=1, b=2)).status_code == 422
    assert "reviewed" in client.get(path_of(piece)).content.decode()


def test_a_skip_is_undone_from_the_next_page(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    client = sign_in(world.alice)
    page = client.post(path_of(piece, "skip/"), {"reason": "broken"}, follow=True).content.decode()
    assert f'action="{path_of(piece, "skip/undo/")}"' in page
    assert client.post(path_of(piece, "skip/undo/"))["Location"] == path_of(piece)
    client.post(path_of(piece, "skip/"), {"reason": "broken"})
    taken(world.project, world.bob)
    assert "can&#x27;t come back" in client.post(path_of(piece, "skip/undo/"), follow=True).content.decode()


def test_one_kind_of_work_is_followed_by_the_same_kind(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_ranking_item(world.project)
    for text in ("One?", "Two?"):
        make_prompt(world.project, text)
    client = sign_in(world.alice)
    answer = client.post("/projects/capitals/work/", {"kind": "demonstration"})
    piece = Assignment.objects.get()
    assert answer["Location"] == path_of(piece)
    client.post(path_of(piece, "submit/"), {"client_key": str(uuid.uuid4()), "text": "An answer."})
    assert Assignment.objects.latest("pk").item.kind == ItemKind.DEMONSTRATION


def test_an_empty_queue_says_why(world: World, sign_in: SignIn) -> None:
    answer = sign_in(world.alice).post("/projects/capitals/work/", follow=True)
    assert "Everything is done for now" in answer.content.decode()


def test_too_long_an_answer_is_refused_with_the_limit_and_kept_on_the_page(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(demonstrations_per_prompt=1, max_answer_characters=10)
    world.project.refresh_from_db()
    make_prompt(world.project)
    piece = taken(world.project, world.alice, ItemKind.DEMONSTRATION)
    sent = {"client_key": str(uuid.uuid4()), "text": "eleven char"}
    answer = sign_in(world.alice).post(path_of(piece, "submit/"), sent)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "11 characters; at most 10" in page
    assert "eleven char" in page


def test_a_few_shot_instruction_needs_its_examples(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(instructions_wanted=1)
    world.project.refresh_from_db()
    piece = taken(world.project, world.alice, ItemKind.INSTRUCTION)
    sent = {
        "client_key": str(uuid.uuid4()), "kind": "few_shot", "use_case": "other", "language": "en",
        "text": "Opposites.", "example_1": "hot",
    }  # fmt: skip
    page = sign_in(world.alice).post(path_of(piece, "submit/"), sent).content.decode()
    assert "An example needs both its text and its answer." in page
    assert "Say which new case is to be answered after the examples." in page
    assert not Prompt.objects.exists()


def test_the_ranking_page_says_nothing_of_who_wrote_what(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project, generator="ppo-round-2")
    piece = taken(world.project, world.alice)
    client = sign_in(world.alice)
    page = client.get(path_of(piece)).content.decode()
    assert "ppo-round-2" not in page
    assert "temperature" not in page
    tags = re.findall(r'<article class="output"[^>]*>', page)
    assert len(tags) == 4
    assert len({re.sub(r'(Output |output-|data-key=")[a-dA-D]"', r"\1", tag) for tag in tags}) == 1


def test_a_heartbeat_keeps_the_lease_and_says_when_it_is_lost(world: World, sign_in: SignIn) -> None:
    make_ranking_item(world.project)
    piece = taken(world.project, world.alice)
    client = sign_in(world.alice)
    soon = timezone.now() + timedelta(minutes=1)
    Assignment.objects.update(lease_expires_at=soon)
    assert client.post(path_of(piece, "heartbeat/")).json()["state"] == AssignmentState.LEASED
    piece.refresh_from_db()
    assert piece.lease_expires_at > soon
    Assignment.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    release_expired()
    assert client.post(path_of(piece, "heartbeat/")).json()["state"] == AssignmentState.EXPIRED


def test_a_token_is_shown_once_and_can_be_revoked(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.alice)
    answer = client.post("/account/tokens/", {"name": "script", "days": "30", "scopes": ["read"]})
    secret = re.search(r'value="(plumb_[^"]+)"', answer.content.decode())
    assert secret
    token = ApiToken.objects.matching(secret[1])
    assert token is not None
    assert token.user == world.alice
    assert secret[1] not in client.get("/account/tokens/").content.decode()
    assert sign_in(world.bob).post(f"/account/tokens/{token.pk}/revoke/").status_code == 404
    client.post(f"/account/tokens/{token.pk}/revoke/")
    assert ApiToken.objects.matching(secret[1]) is None


def test_near_repeats_and_personal_data_are_pointed_out_while_writing_and_nothing_is_refused(
    world: World, sign_in: SignIn
) -> None:
    type(world.project).objects.update(instructions_wanted=9)
    world.project.refresh_from_db()
    make_prompt(world.project, "Name five rivers of Europe and where each one ends.")
    piece = taken(world.project, world.alice, ItemKind.INSTRUCTION)
    client = sign_in(world.alice)
    sent = {
        "kind": "plain", "use_case": "chat", "language": "en", "turn_1": "I am on +49 30 901820.", "reply_1": "Thanks.",
        "text": "Name five rivers of Europe, and where each ends.",
    }  # fmt: skip
    [phone] = client.post(path_of(piece, "draft/"), sent).json()["pointed_out"]
    assert "phone number: +49 30 901820" in phone
    [near] = client.post(path_of(piece, "draft/"), sent | {"turn_1": "", "reply_1": ""}).json()["pointed_out"]
    assert "Name five rivers of Europe and where each one ends." in near
    assert "much like this one" in client.get(path_of(piece)).content.decode()
    client.post(path_of(piece, "submit/"), sent | {"client_key": str(uuid.uuid4())})
    assert Prompt.objects.get(author=world.alice).text == sent["text"]
    assert "much like" not in client.get(path_of(piece, "edit/")).content.decode()


def test_the_preview_is_the_text_as_it_is_shown_made_safe(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_prompt(world.project)
    piece = taken(world.project, world.alice, ItemKind.DEMONSTRATION)
    sent = {"text": "**Paris** <script>alert(1)</script>"}
    shown = sign_in(world.alice).post(path_of(piece, "preview/"), sent).content.decode()
    assert "<strong>Paris</strong>" in shown
    assert "<script>" not in shown
    assert sign_in(world.bob).post(path_of(piece, "preview/"), sent).status_code == 404
