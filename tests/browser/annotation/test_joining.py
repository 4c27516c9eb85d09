"""From nothing to the first piece: an admin makes a project and a link, a stranger follows it and works."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from playwright.sync_api import Page, expect

from annotation.models import Assignment, User
from tests.browser.annotation.conftest import SignIn
from tests.world import World


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
