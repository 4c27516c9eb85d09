"""The second factor in the browser: set up by the code that an app would show, then asked for, then given up."""

from __future__ import annotations

import time

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from playwright.sync_api import Page, expect

from tests.world import PASSWORD, World


def code_of(secret: str, *, steps: int = 0) -> str:
    """What an authenticator app shows (RFC 6238)."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def test_a_person_sets_it_up_signs_in_with_it_and_switches_it_off(world: World, page: Page) -> None:
    cache.clear()
    page.goto("/account/login/")
    give_name_and_password(page)
    page.get_by_text("alice", exact=True).click()
    page.get_by_role("link", name="Second factor").click()
    page.get_by_role("link", name="Set it up").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    secret = page.get_by_label("Secret", exact=True).input_value()
    drawn = page.get_by_alt_text("The secret below as a picture").evaluate("each => each.naturalWidth")
    assert drawn > 0  # the policy of the page lets it be shown
    page.get_by_label("Your code", exact=True).fill("000000")
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_text("Incorrect code.")).to_be_visible()
    page.get_by_label("Your code", exact=True).fill(code_of(secret))
    page.get_by_role("button", name="Switch it on").click()
    codes = page.get_by_label("Unused codes").input_value().split()
    assert len(set(codes)) == 10

    for code in (codes[3], code_of(secret, steps=1)):  # a code counts once, and clocks may be off
        page.context.clear_cookies()
        page.goto("/projects/capitals/")
        give_name_and_password(page)
        expect(page.get_by_role("heading", name="Your code")).to_be_visible()
        page.get_by_label("Your code", exact=True).fill(code)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Capitals")).to_be_visible()

    page.goto("/account/2fa/")
    expect(page.get_by_text("9 codes are unused.")).to_be_visible()
    page.get_by_role("link", name="Switch it off").click()
    page.get_by_label("Password").fill(PASSWORD)  # asked for once more
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Switch it off").click()
    expect(page.get_by_text("Signing in takes the password alone.")).to_be_visible()


def give_name_and_password(page: Page) -> None:
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
