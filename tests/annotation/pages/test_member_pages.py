"""Members are invited, changed and paid on pages; a link lets in whoever has it, and nobody else can sign up."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from annotation import membership
from annotation.models import Invitation, Membership, PayRate, Role, User
from tests.annotation.pages.conftest import SignIn
from tests.world import PASSWORD, World

PROJECT = "/projects/capitals/"
ACCOUNT = {"username": "kim", "password1": "a long enough word", "password2": "a long enough word"}


@pytest.fixture
def ada(world: World, sign_in: SignIn) -> Client:
    return sign_in(world.ada)


@pytest.fixture
def secret(world: World) -> str:
    return membership.invite(world.project, by=world.ada, name="Kim", roles=[Role.ANNOTATOR])[1]


class TestInviting:
    def test_shows_the_link_once(self, world: World, ada: Client) -> None:
        sent = {"name": "Kim", "roles": ["annotator", "reviewer"], "languages": ["en"], "max_uses": 3, "days": 2}
        answer = ada.post(f"{PROJECT}invitations/", sent)
        (secret,) = re.findall(r"http://testserver/join/([\w-]+)/", answer.content.decode())
        assert "no-store" in answer["Cache-Control"]
        assert secret not in ada.get(f"{PROJECT}invitations/").content.decode()
        made = Invitation.objects.get()
        assert (made.roles, made.languages, made.max_uses) == (["annotator", "reviewer"], ["en"], 3)
        assert made.expires_at - timezone.now() < timedelta(days=2)

    def test_takes_a_role(self, world: World, ada: Client) -> None:
        ada.post(f"{PROJECT}invitations/", {"name": "Kim", "max_uses": 1, "days": 2})
        assert not Invitation.objects.exists()

    def test_is_taken_back(self, world: World, ada: Client, secret: str, client: Client) -> None:
        assert client.get(f"/join/{secret}/").status_code == 200
        ada.post(f"{PROJECT}invitations/{Invitation.objects.get().pk}/revoke/")
        assert client.get(f"/join/{secret}/").status_code == 404

    def test_is_taken_back_by_the_projects_own_admin_alone(self, world: World, sign_in: SignIn, secret: str) -> None:
        invitation = Invitation.objects.get()
        for person, status in ((world.rita, 403), (world.charlie, 404)):
            answer = sign_in(person).post(f"{PROJECT}invitations/{invitation.pk}/revoke/")
            assert answer.status_code == status
        next_door = sign_in(world.charlie).post(f"/projects/next-door/invitations/{invitation.pk}/revoke/")
        assert next_door.status_code == 404
        assert Invitation.objects.get().is_open


class TestFollowingTheLink:
    def test_makes_an_account_that_is_a_member_at_once(self, world: World, client: Client, secret: str) -> None:
        assert "Capitals" in client.get(f"/join/{secret}/").content.decode()
        assert client.post(f"/join/{secret}/")["Location"] == "/account/signup/"
        assert client.post("/account/signup/", ACCOUNT).status_code == 302
        kim = User.objects.get(username="kim")
        assert list(kim.memberships.values_list("project", "role")) == [(world.project.pk, "annotator")]
        assert (kim.is_staff, kim.is_superuser) == (False, False)
        assert "Capitals" in client.get("/").content.decode()

    def test_looking_at_it_uses_nothing_up(self, world: World, client: Client, secret: str) -> None:
        client.get(f"/join/{secret}/")
        assert not client.session.keys()
        assert Invitation.objects.get().uses == 0

    def test_makes_a_member_of_who_has_an_account(self, world: World, sign_in: SignIn, secret: str) -> None:
        client = sign_in(world.charlie)
        assert "Join as charlie" in client.get(f"/join/{secret}/").content.decode()
        assert client.post(f"/join/{secret}/")["Location"] == PROJECT
        assert client.get(f"{PROJECT}work/").status_code == 200
        assert Client().get(f"/join/{secret}/").status_code == 404  # used up

    def test_leads_back_after_signing_in(self, world: World, client: Client, secret: str) -> None:
        page = client.get(f"/join/{secret}/").content.decode()
        (sign_in_link,) = re.findall(r'href="(/account/login/[^"]+)"', page)
        answer = client.post(sign_in_link, {"login": "charlie", "password": PASSWORD})
        assert answer["Location"] == f"/join/{secret}/"

    def test_that_others_used_up_meanwhile_makes_no_account(
        self, world: World, client: Client, secret: str, sign_in: SignIn
    ) -> None:
        client.post(f"/join/{secret}/")
        sign_in(world.charlie).post(f"/join/{secret}/")
        answer = client.post("/account/signup/", ACCOUNT)
        assert "by invitation" in answer.content.decode()
        assert not User.objects.filter(username="kim").exists()

    @pytest.mark.parametrize("step", ["get", "post"])
    def test_is_the_only_way_to_an_account(self, world: World, client: Client, secret: str, step: str) -> None:
        answer = getattr(client, step)("/account/signup/", ACCOUNT)
        assert "by invitation" in answer.content.decode()
        assert not User.objects.filter(username="kim").exists()
        assert client.post("/join/not-a-link/").status_code == 404

    def test_lets_one_account_in_and_no_second_one_from_the_same_browser(
        self, world: World, client: Client, secret: str
    ) -> None:
        Invitation.objects.update(max_uses=5)
        client.post(f"/join/{secret}/")
        client.post("/account/signup/", ACCOUNT)
        client.logout()
        client.post("/account/signup/", ACCOUNT | {"username": "lee"})
        assert not User.objects.filter(username="lee").exists()


class TestAMember:
    ALICE = f"{PROJECT}members/alice/"

    def test_gets_languages_and_a_cap(self, world: World, ada: Client) -> None:
        ada.post(self.ALICE, {"form": "limits", "languages": ["en"], "daily_cap": "40"})
        member = Membership.objects.get(user=world.alice)
        assert (member.languages, member.daily_cap) == (["en"], 40)
        assert "40" in ada.get(f"{PROJECT}members/").content.decode()
        ada.post(self.ALICE, {"form": "limits", "daily_cap": ""})
        member.refresh_from_db()
        assert (member.languages, member.daily_cap) == ([], None)

    def test_gets_another_role_and_loses_one(self, world: World, ada: Client) -> None:
        ada.post(self.ALICE, {"form": "role", "role": "reviewer"})
        first = Membership.objects.get(user=world.alice, role="annotator")
        ada.post(f"{PROJECT}members/{first.pk}/remove/")
        assert [each.role for each in Membership.objects.filter(user=world.alice)] == ["reviewer"]

    def test_gets_a_rate_and_sees_it_in_the_timesheet(self, world: World, ada: Client) -> None:
        ada.post(self.ALICE, {"form": "rate", "amount": "18.5", "per": "hour", "since": "2026-01-01"})
        assert str(PayRate.objects.get()) == "18.5 per hour"
        assert "$18.50 per hour" in ada.get(f"{PROJECT}members/").content.decode()
        bad = ada.post(self.ALICE, {"form": "rate", "amount": "-1", "per": "hour", "since": "2026-01-01"})
        assert (bad.status_code, PayRate.objects.count()) == (422, 1)

    def test_of_another_project_is_not_there(self, world: World, ada: Client) -> None:
        assert ada.get(f"{PROJECT}members/charlie/").status_code == 404

    def test_is_changed_by_admins_alone(self, world: World, sign_in: SignIn) -> None:
        for person, status in ((world.alice, 403), (world.rosa, 403), (world.charlie, 404)):
            sent = {"form": "rate", "amount": "99", "per": "hour", "since": "2026-01-01"}
            assert sign_in(person).post(self.ALICE, sent).status_code == status
        assert not PayRate.objects.exists()
