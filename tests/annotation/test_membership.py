"""People come in by invitation, with roles and languages, work up to their cap and are paid by the rate of the day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation import empty_queue, managing, membership, my_work, screening
from annotation.assignment import skip, take
from annotation.collection import Refused
from annotation.models import (
    Assignment,
    AuditEntry,
    Invitation,
    Item,
    ItemKind,
    Membership,
    PaidPer,
    Project,
    Purpose,
    Role,
    SkipReason,
    User,
)
from tests.annotation.test_api import Api
from tests.world import World, make_person, make_prompt, make_ranking_item, rank, taken


def invite(world: World, **options: Any) -> tuple[Invitation, str]:
    defaults: dict[str, Any] = {"name": "Kim", "roles": [Role.ANNOTATOR]}
    return membership.invite(world.project, by=world.ada, **defaults | options)


class TestAnInvitation:
    def test_makes_its_roles_of_who_follows_it_in_its_languages(self, world: World) -> None:
        Project.objects.filter(pk=world.project.pk).update(languages=["en", "zh"])
        world.project.refresh_from_db()
        invitation, _secret = invite(world, roles=[Role.ANNOTATOR, Role.REVIEWER], languages=["zh"])
        kim = make_person("kim")
        membership.join(invitation, kim)
        found = kim.memberships.values_list("role", "languages").order_by("role")
        assert list(found) == [("annotator", ["zh"]), ("reviewer", ["zh"])]
        assert AuditEntry.objects.get(action="joined").details["roles"] == ["annotator", "reviewer"]

    def test_is_stored_as_a_hash_alone(self, world: World) -> None:
        invitation, secret = invite(world)
        assert Invitation.objects.matching(secret) == invitation
        assert secret not in str(list(Invitation.objects.values())) + str(list(AuditEntry.objects.values()))

    def test_lets_in_as_many_as_it_says(self, world: World) -> None:
        invitation, secret = invite(world, max_uses=2)
        first, second, third = (make_person(name) for name in ("kim", "lee", "mo"))
        for person in (first, first, second):  # who is in already uses up nothing
            membership.join(invitation, person)
        with pytest.raises(Refused, match="used up"):
            membership.join(invitation, third)
        assert Invitation.objects.matching(secret) is None

    def test_that_was_revoked_or_has_expired_lets_nobody_in(self, world: World) -> None:
        revoked, secret = invite(world)
        membership.revoke(revoked, by=world.ada)
        expired, other = invite(world)
        Invitation.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
        for invitation in (revoked, expired):
            with pytest.raises(Refused):
                membership.join(invitation, world.charlie)
        assert Invitation.objects.matching(secret) is Invitation.objects.matching(other) is None
        assert AuditEntry.objects.filter(action="invitation_revoked").count() == 1

    @pytest.mark.parametrize(
        "options",
        [{"roles": []}, {"max_uses": 0}, {"lifetime": timedelta(days=91)}, {"languages": ["fr"]}],
    )
    def test_that_makes_no_sense_is_refused(self, world: World, options: dict[str, Any]) -> None:
        with pytest.raises(Refused):
            invite(world, **options)


class TestUseCases:
    @pytest.fixture
    def alice(self, world: World) -> Membership:
        """Down for chat and summaries; a more urgent piece is of another use case."""
        for use_case, priority in (("open_qa", 9), ("chat", 0), ("summarization", 0)):
            prompt = make_prompt(world.project, f"{use_case}?", use_case=use_case)
            make_ranking_item(world.project, prompt=prompt, priority=priority)
        member = world.project.memberships.get(user=world.alice)
        membership.limit(member, by=world.ada, languages=[], daily_cap=None, use_cases=["summarization", "chat"])
        return member

    def test_decide_what_an_annotator_is_given(self, world: World, alice: Membership) -> None:
        given = []
        while (piece := take(world.project, world.alice)) is not None:
            given.append(piece.item.asked.use_case)
            rank(piece)
        assert given == ["chat", "summarization"]
        assert "use cases you are not down for" in empty_queue.why(world.project, world.alice)
        assert taken(world.project, world.bob).item.asked.use_case == "open_qa"

    def test_are_those_that_there_are(self, world: World, alice: Membership) -> None:
        with pytest.raises(Refused, match="no use case rivers"):
            membership.limit(alice, by=world.ada, languages=[], daily_cap=None, use_cases=["rivers"])

    def test_leave_out_no_qualification_set(self, world: World, alice: Membership) -> None:
        item = Item.objects.get(prompt__use_case="open_qa")
        managing.change(world.project, by=world.ada, settings={"qualification_pieces": 1})
        screening.choose(world.project, [item.pk], purpose=Purpose.QUALIFICATION, by=world.ada)
        rank(screening.answer(Item.objects.get(pk=item.pk), world.ada))
        assert taken(Project.objects.get(pk=world.project.pk), world.alice).item_id == item.pk

    def test_are_set_by_scripts_and_copied_with_the_members(self, world: World, alice: Membership) -> None:
        path = f"projects/capitals/members/{alice.pk}/"
        sent = {"languages": [], "use_cases": ["chat"], "daily_cap": None}
        assert Api(world.ada).client.put(f"/api/v1/{path}", sent, content_type="application/json").json()[
            "use_cases"
        ] == ["chat"]
        made = managing.copy(world.project, by=world.ada, name="Copy", slug="copy", with_members=True)
        assert made.memberships.get(user=world.alice).use_cases == ["chat"]


class TestADailyCap:
    @pytest.fixture
    def capped(self, world: World) -> Membership:
        for number in range(5):
            make_ranking_item(world.project, prompt=make_prompt(world.project, f"What is {number}?"))
        alice = world.project.memberships.get(user=world.alice)
        membership.limit(alice, by=world.ada, languages=[], daily_cap=2)
        return alice

    def test_ends_the_work_of_the_day_and_says_when_to_come_back(self, world: World, capped: Membership) -> None:
        for _piece in range(2):
            rank(taken(world.project, world.alice))
        assert take(world.project, world.alice) is None
        assert "after midnight UTC" in empty_queue.why(world.project, world.alice)
        assert taken(world.project, world.bob)

    def test_counts_the_piece_in_hand_and_gives_it_back_when_asked_again(
        self, world: World, capped: Membership
    ) -> None:
        Project.objects.filter(pk=world.project.pk).update(instructions_wanted=9)
        world.project.refresh_from_db()
        rank(taken(world.project, world.alice, ItemKind.RANKING))
        held = taken(world.project, world.alice, ItemKind.RANKING)
        assert take(world.project, world.alice, kinds=[ItemKind.INSTRUCTION]) is None
        assert take(world.project, world.alice) == held

    def test_counts_neither_what_was_skipped_nor_yesterday_nor_another_project(
        self, world: World, capped: Membership
    ) -> None:
        skip(taken(world.project, world.alice), reason=SkipReason.OTHER)
        rank(taken(world.project, world.alice))
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        Assignment.objects.filter(state="submitted").update(finished_at=midnight - timedelta(microseconds=1))
        Membership.objects.create(project=world.next_door, user=world.alice, role=Role.ANNOTATOR)
        make_ranking_item(world.next_door)
        rank(taken(world.next_door, world.alice, ItemKind.RANKING))
        for _piece in range(2):
            rank(taken(world.project, world.alice))
        assert take(world.project, world.alice) is None

    def test_holds_for_instructions_too(self, world: World) -> None:
        Project.objects.filter(pk=world.project.pk).update(instructions_wanted=9)
        world.project.refresh_from_db()
        alice = world.project.memberships.get(user=world.alice)
        membership.limit(alice, by=world.ada, languages=[], daily_cap=1)
        piece = taken(world.project, world.alice)
        Assignment.objects.filter(pk=piece.pk).update(state="submitted", finished_at=timezone.now())
        assert take(world.project, world.alice) is None

    def test_costs_no_statement_more(self, world: World, capped: Membership) -> None:
        with CaptureQueriesContext(connection) as with_cap:
            assert take(world.project, world.alice)
        with CaptureQueriesContext(connection) as without:
            assert take(world.project, world.bob)
        assert len(with_cap) == len(without)

    def test_is_logged_with_the_one_before_and_is_one_piece_at_least(self, world: World, capped: Membership) -> None:
        with pytest.raises(Refused):
            membership.limit(capped, by=world.ada, languages=[], daily_cap=0)
        assert AuditEntry.objects.get(action="member_changed").details["changes"] == {"daily_cap": [None, 2]}


class TestPay:
    def worked(self, world: World, day: date, *, seconds: float) -> None:
        make_ranking_item(world.project, prompt=make_prompt(world.project, f"What was on {day} for {seconds}?"))
        piece = taken(world.project, world.alice)
        rank(piece)
        finished = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        Assignment.objects.filter(pk=piece.pk).update(finished_at=finished, seconds=seconds)

    def pay(self, world: World, amount: str, per: PaidPer, since: date) -> None:
        membership.pay(world.project, world.alice, by=world.ada, amount=Decimal(amount), per=per, since=since)

    def test_is_by_the_rate_of_the_day_so_that_a_raise_changes_no_earlier_day(self, world: World) -> None:
        self.pay(world, "18.50", PaidPer.HOUR, date(2026, 3, 2))
        self.pay(world, "0.085", PaidPer.PIECE, date(2026, 3, 4))
        self.worked(world, date(2026, 3, 1), seconds=600)
        self.worked(world, date(2026, 3, 3), seconds=1800)
        self.worked(world, date(2026, 3, 4), seconds=60)
        self.worked(world, date(2026, 3, 4), seconds=70)
        found = {day.day.day: day.pay for day in my_work.timesheet(world.project, world.alice)}
        assert found == {1: None, 3: Decimal("9.25"), 4: Decimal("0.17")}

    def test_of_everybody_is_one_file_and_who_left_is_in_it(self, world: World) -> None:
        self.pay(world, "20", PaidPer.HOUR, date(2026, 3, 1))
        self.worked(world, date(2026, 3, 1), seconds=900)
        membership.remove(world.project.memberships.get(user=world.alice), by=world.ada)
        assert my_work.as_csv(world.project).splitlines() == [
            "person,day,kind,submitted,skipped,seconds,rate,per,pay,currency",
            "alice,2026-03-01,ranking,1,0,900,20.0000,hour,5.0000,USD",
        ]

    def test_that_is_set_twice_for_a_day_is_the_second(self, world: World) -> None:
        self.pay(world, "20", PaidPer.HOUR, date(2026, 3, 1))
        self.pay(world, "21", PaidPer.HOUR, date(2026, 3, 1))
        assert [rate.amount for rate in world.project.pay_rates.all()] == [21]
        assert AuditEntry.objects.filter(action="rate_set").count() == 2


def test_the_last_admin_stays(world: World) -> None:
    with pytest.raises(Refused, match="only admin left"):
        membership.remove(Membership.objects.get(user=world.ada), by=world.ada)
    membership.add(world.project, User.objects.get(username="rita"), Role.ADMIN, by=world.ada)
    membership.remove(Membership.objects.get(user=world.ada), by=world.ada)
