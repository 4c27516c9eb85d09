"""Import, leases, charts and what is pasted, in a real browser."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from playwright.sync_api import expect

from annotation import uploads
from annotation.models import Assignment, Demonstration, ItemKind, Prompt
from tests.browser.annotation.conftest import SignIn
from tests.world import World, answer, make_prompt, make_ranking_item, rank, taken

PROJECT = "/projects/capitals/"


def rank_one_of_three(world: World) -> None:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    for number in range(3):
        make_ranking_item(world.project, prompt=make_prompt(world.project, f"Question {number}?"), texts=("one", "two"))
    rank(taken(world.project, world.alice, ItemKind.RANKING))
    taken(world.project, world.alice, ItemKind.RANKING)
    taken(world.project, world.alice, ItemKind.DEMONSTRATION)
    answer(taken(world.project, world.bob, ItemKind.DEMONSTRATION))
    taken(world.project, world.bob, ItemKind.RANKING)


@pytest.mark.parametrize("js", [True, False])
def test_a_file_is_seen_before_it_is_imported(world: World, sign_in: SignIn, *, js: bool) -> None:
    page = sign_in(world.ada, js=js)
    page.goto(f"{PROJECT}import/")
    content = b'{"instruction": "Name a river."}\n{"nothing": 1}\n'
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "rows.jsonl", "mimeType": "text/plain", "buffer": content}
    )
    page.get_by_role("button", name="Look at the file").click()
    expect(page.get_by_text("Name a river.")).to_be_visible()
    expect(page.get_by_role("cell", name="There is no “prompt”")).to_be_visible()
    assert not Prompt.objects.exists()
    page.get_by_role("button", name="Import the 1 good line").click()
    expect(page.get_by_text("1 row was imported.")).to_be_visible()
    assert Prompt.objects.get().text == "Name a river."


def test_a_large_file_is_followed_until_its_preview_comes(
    world: World, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation.models.uploads.SMALL", 0)
    monkeypatch.setattr(uploads, "nudge", lambda task, pk: None)
    file = SimpleUploadedFile("rows.jsonl", b'{"prompt": "Name a river."}')
    upload = uploads.receive(world.project, "instructions", file, user=world.ada)
    page = sign_in(world.ada)
    page.goto(f"{PROJECT}import/{upload.pk}/")
    expect(page.get_by_text("It waits for a worker.")).to_be_visible()
    uploads.carry_on(upload.pk)
    expect(page.get_by_role("button", name="Import 1 line")).to_be_visible()


def test_what_is_pasted_is_counted_and_what_is_moved_within_the_text_is_not(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    make_prompt(world.project)
    piece = taken(world.project, world.alice, ItemKind.DEMONSTRATION)
    page = sign_in(world.alice)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/assignments/{piece.pk}/")
    expect(page.get_by_text("Pasting is counted")).to_be_visible()
    area = page.get_by_label("Your answer")
    area.focus()
    page.keyboard.type("typed ")
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+X")
    page.keyboard.press("Control+V")
    expect(page.locator("[name=pasted]")).to_have_value("0")
    page.evaluate("navigator.clipboard.writeText('pasted')")
    area.focus()
    page.keyboard.press("Control+V")
    expect(area).to_have_value("typed pasted")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/work/**")
    assert Demonstration.objects.get().text == "typed pasted"
    assert Assignment.objects.get(pk=piece.pk).pasted == 0.5


def test_long_code_and_tables_scroll_by_keyboard(world: World, sign_in: SignIn) -> None:
    type(world.project).objects.update(demonstrations_per_prompt=1)
    world.project.refresh_from_db()
    columns = "| column " * 12 + "|"
    make_prompt(world.project, "\n".join([columns, "|---" * 12 + "|", columns, "", "```", "code " * 60, "```"]))
    page = sign_in(world.alice, width=390)
    page.goto(f"/assignments/{taken(world.project, world.alice, ItemKind.DEMONSTRATION).pk}/")
    for name in ("Table", "Code"):
        part = page.locator(".prose").get_by_role("group", name=name).first
        part.focus()
        expect(part).to_be_focused()
        before = part.evaluate("element => [element.scrollLeft, element.scrollWidth > element.clientWidth]")
        assert before == [0, True]
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => document.activeElement.scrollLeft > 0")


def test_one_of_a_persons_pieces_is_released(world: World, sign_in: SignIn) -> None:
    rank_one_of_three(world)
    page = sign_in(world.ada)
    page.goto(PROJECT)
    page.get_by_role("link", name="Who holds what").click()
    page.get_by_role("button", name="Release all that alice holds").click()
    expect(page.get_by_text("2 pieces are free for others.")).to_be_visible()
    page.get_by_role("button", name="Release “rank outputs” of bob").click()
    expect(page.get_by_text("Nobody has anything in work")).to_be_visible()
