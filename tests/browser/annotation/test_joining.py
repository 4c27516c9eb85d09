"""From nothing to the first piece: an admin makes a project and a link, a stranger follows it and works."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from playwright.sync_api import Page, expect

from annotation import membership
from annotation.models import Assignment, Role, User
from tests.browser.annotation.conftest import SignIn
from tests.browser.annotation.test_accessibility import faults
from tests.browser.annotation.test_pages import look
from tests.world import World

PROJECT = "/projects/capitals/"
ADMIN_PAGES = (
    "/projects/", f"{PROJECT}copy/", f"{PROJECT}settings/", f"{PROJECT}settings/guidelines/?version=1",
    f"{PROJECT}settings/terms/", f"{PROJECT}members/", f"{PROJECT}members/alice/", f"{PROJECT}invitations/",
)  # fmt: skip


def test_a_stranger_is_invited_to_a_new_project_and_takes_the_first_piece(
    world: World, sign_in: SignIn, page: Page
) -> None:
    world.ada.user_permissions.add(Permission.objects.get(codename="add_project"))
    admin = sign_in(world.ada)
    admin.goto("/")
    admin.get_by_role("link", name="All projects").click()
    admin.get_by_label("Name", exact=True).fill("Rivers")
    admin.get_by_role("button", name="Create the project").click()
    admin.get_by_label("Instructions wanted").fill("1")
    admin.get_by_role("button", name="Save the settings").click()
    expect(admin.get_by_text("1 setting was changed.")).to_be_visible()
    admin.get_by_role("link", name="Members").click()
    admin.get_by_role("link", name="Invite people").click()
    admin.get_by_label("For whom").fill("Kim")
    admin.get_by_role("button", name="Make the link").click()
    link = admin.get_by_label("The link", exact=True).input_value()

    page.goto(link)
    expect(page.get_by_text("To the project “Rivers”.")).to_be_visible()
    page.get_by_role("button", name="Make an account").click()
    page.get_by_label("User name").fill("kim")
    page.get_by_label("Password", exact=True).fill("a long enough word")
    page.get_by_label("Password again").fill("a long enough word")
    page.get_by_role("button", name="Make the account").click()
    page.get_by_role("button", name="Start working").click()
    expect(page.get_by_label("Instruction", exact=True)).to_be_visible()
    kim = User.objects.get(username="kim")
    assert Assignment.objects.get().annotator == kim

    admin.reload()
    admin.goto("/projects/rivers/invitations/")
    expect(admin.get_by_text("Used up")).to_be_visible()


@pytest.mark.parametrize(("dark", "language"), [(False, "en"), (True, "zh-hans")])
def test_the_admins_pages_fit_a_phone_and_axe_finds_no_fault(
    world: World, sign_in: SignIn, *, dark: bool, language: str
) -> None:
    world.ada.user_permissions.add(Permission.objects.get(codename="add_project"))
    _invitation, secret = membership.invite(world.project, by=world.ada, name="Kim " * 15, roles=list(Role))
    page = sign_in(world.ada, width=390, dark=dark, language=language)
    found: list[str] = []
    for path in (*ADMIN_PAGES, f"/join/{secret}/"):
        look(page, path)
        found += faults(page, path)
    assert found == []


def test_the_pages_before_the_account_fit_a_phone_and_axe_finds_no_fault(world: World, page: Page) -> None:
    _invitation, secret = membership.invite(world.project, by=world.ada, name="Kim", roles=[Role.ANNOTATOR])
    page.set_viewport_size({"width": 390, "height": 800})
    found: list[str] = []
    for path in ("/account/signup/", f"/join/{secret}/"):
        look(page, path)
        found += faults(page, path)
    page.goto(f"/join/{secret}/")
    page.get_by_role("button", name="Make an account").click()
    expect(page.get_by_label("User name")).to_be_focused()
    found += faults(page, "/account/signup/")
    assert found == []
