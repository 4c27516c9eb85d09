"""The pages of quality, review and the audit log in a real browser: no fault that axe finds, none wider than a phone."""

from __future__ import annotations

import pytest

from tests.annotation.quality.scene import make_study
from tests.browser.annotation.conftest import SignIn
from tests.browser.annotation.test_accessibility import faults
from tests.browser.annotation.test_pages import look
from tests.world import World

PROJECT = "/projects/capitals/"
PAGES = (f"{PROJECT}quality/", f"{PROJECT}quality/?use_case=chat", f"{PROJECT}leaderboard/")


@pytest.mark.parametrize(("dark", "language"), [(False, "en"), (True, "zh-hans")])
def test_axe_finds_no_fault_in_them(world: World, sign_in: SignIn, *, dark: bool, language: str) -> None:
    make_study(world)
    page = sign_in(world.ada, dark=dark, language=language)
    assert [fault for path in PAGES for fault in faults(page, path)] == []


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_none_of_them_is_wider_than_a_phone(world: World, sign_in: SignIn, language: str) -> None:
    make_study(world)
    page = sign_in(world.ada, width=390, language=language)
    for path in PAGES:
        look(page, path)
