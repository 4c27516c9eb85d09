"""A project is created, copied, changed and put away; each change stands in the log."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from annotation import empty_queue, managing, membership
from annotation.collection import Refused
from annotation.models import AuditEntry, Guidelines, Membership, PaidPer, Project, Role, Terms
from tests.world import World, make_prompt, make_ranking_item, rank, taken


def logged(action: str) -> dict[str, Any]:
    details: dict[str, Any] = AuditEntry.objects.get(action=action).details
    return details


def test_who_creates_a_project_is_its_admin_and_nothing_else(world: World) -> None:
    made = managing.create(by=world.alice, name="Rivers", slug="rivers", k=6)
    assert list(made.memberships.values_list("user", "role")) == [(world.alice.pk, Role.ADMIN)]
    assert logged("project_created") == {"name": "Rivers"}


class TestACopy:
    def copied(self, world: World, **options: Any) -> Project:
        managing.change(world.project, by=world.ada, settings={"k": 7, "flags": [{"key": "odd", "label": "Odd"}]})
        managing.publish(Terms, world.project, by=world.ada, text="Be fair.")
        managing.publish(Guidelines, world.project, by=world.ada, text="Be brief.")
        Membership.objects.filter(user=world.alice).update(daily_cap=5, sees_harmful=True)
        make_prompt(world.project)
        return managing.copy(world.project, by=world.ada, name="Again", slug="again", **options)

    def test_has_the_settings_and_the_texts_in_force_and_no_data(self, world: World) -> None:
        made = self.copied(world)
        assert (made.name, made.k, made.flags) == ("Again", 7, [{"key": "odd", "label": "Odd"}])
        texts = [*made.guidelines.values_list("version", "text"), *made.terms.values_list("version", "text")]
        assert texts == [(1, "Be brief."), (1, "Be fair.")]
        assert made.prompts.count() == 0
        assert list(made.memberships.values_list("user", "role")) == [(world.ada.pk, Role.ADMIN)]

    def test_has_the_members_where_that_is_wanted_but_not_what_they_agreed_to(self, world: World) -> None:
        made = self.copied(world, with_members=True)
        assert made.memberships.count() == world.project.memberships.count()
        alice = made.memberships.get(user=world.alice)
        assert (alice.role, alice.daily_cap, alice.sees_harmful) == (Role.ANNOTATOR, 5, False)
        assert logged("project_copied")["people"] == 5


class TestAnArchivedProject:
    def test_hands_nothing_out_says_so_and_takes_in_what_was_in_work(self, world: World) -> None:
        make_ranking_item(world.project, overlap=2)
        piece = taken(world.project, world.alice)
        managing.archive(world.project, by=world.ada)
        managing.archive(world.project, by=world.ada)  # a double click
        assert "archived" in empty_queue.why(world.project, world.bob)
        with pytest.raises(AssertionError):
            taken(world.project, world.bob)
        assert rank(piece).pk
        assert logged("project_archived")

    def test_is_taken_out_again(self, world: World) -> None:
        make_ranking_item(world.project)
        managing.archive(world.project, by=world.ada)
        managing.reopen(world.project, by=world.ada)
        assert taken(world.project, world.bob)
        assert logged("project_reopened")


class TestSettings:
    def test_that_change_are_logged_with_old_and_new_value_and_others_are_not(self, world: World) -> None:
        sent = {"k": 6, "name": "Capitals", "languages": ["en", "zh"]}
        managing.change(world.project, by=world.ada, settings=sent)
        assert logged("settings_changed") == {"changes": {"k": [4, 6], "languages": [["en"], ["en", "zh"]]}}
        assert Project.objects.get(pk=world.project.pk).languages == ["en", "zh"]

    def test_that_stay_leave_no_entry(self, world: World) -> None:
        managing.change(world.project, by=world.ada, settings={"k": 4})
        assert not AuditEntry.objects.exists()

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"k": 10}, "9"),
            ({"overlap": 0}, "1"),
            ({"wide_percent": 101}, "100"),
            ({"wide_percent": 20, "wide_overlap": 1}, "need more of them"),
            ({"lease_minutes": 0}, "1"),
            ({"languages": []}, "blank"),
            ({"languages": ["klingon!"]}, "no language code"),
            ({"languages": ["en", "en"]}, "twice"),
            ({"flags": [{"key": "a", "label": "A"}, {"key": "a", "label": "B"}]}, "twice"),
            ({"flags": [{"key": "Not so", "label": "A"}]}, "short name"),
            ({"flags": [{"key": "a", "label": " "}]}, "needs a text"),
            ({"flags": ["a"]}, "list of objects"),
            ({"currency": "euro"}, "currency"),
        ],
    )
    def test_that_make_no_sense_are_refused_and_nothing_changes(
        self, world: World, settings: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(Refused, match=said):
            managing.change(world.project, by=world.ada, settings={"name": "Other", **settings})
        assert Project.objects.get(pk=world.project.pk).name == "Capitals"
        assert not AuditEntry.objects.exists()

    def test_keep_the_currency_once_there_are_rates_in_it(self, world: World) -> None:
        membership.pay(world.project, world.alice, by=world.ada, amount=Decimal(20), per=PaidPer.HOUR)
        with pytest.raises(Refused, match="USD"):
            managing.change(world.project, by=world.ada, settings={"currency": "EUR"})


class TestTexts:
    def test_get_a_version_each_and_the_old_ones_stay(self, world: World) -> None:
        managing.publish(Guidelines, world.project, by=world.ada, text="Be brief.\r\n")
        found = list(world.project.guidelines.values_list("version", "text", "created_by"))
        assert found == [(1, "Be **helpful**, honest and harmless.", None), (2, "Be brief.", world.ada.pk)]
        assert logged("guidelines_published") == {"version": 2}

    def test_that_say_the_same_or_nothing_are_refused(self, world: World) -> None:
        for text in (" Be **helpful**, honest and harmless.", "  "):
            with pytest.raises(Refused):
                managing.publish(Guidelines, world.project, by=world.ada, text=text)
        assert world.project.guidelines.count() == 1


def test_about_the_wanted_share_of_sets_goes_to_more_people(world: World) -> None:
    settings = {"wide_percent": 20, "overlap": 1, "wide_overlap": 3}
    managing.change(world.project, by=world.ada, settings=settings)
    prompts = [make_prompt(world.project, f"Which number comes after {number}?") for number in range(200)]
    overlaps = [make_ranking_item(world.project, prompt=prompt).overlap for prompt in prompts]
    assert set(overlaps) == {1, 3}
    assert 20 <= overlaps.count(3) <= 64  # of 200, 40 expected: 4 standard deviations at most
