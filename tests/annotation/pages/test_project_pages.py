"""Projects are created, copied, archived and set up on pages, by those who may and by nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from annotation.models import AuditEntry, Project
from tests.annotation.pages.conftest import SignIn
from tests.world import World, make_ranking_item

PROJECT = "/projects/capitals/"
SETTINGS = f"{PROJECT}settings/"


@pytest.fixture
def ada(world: World, sign_in: SignIn) -> Client:
    return sign_in(world.ada)


def give_permission(world: World) -> None:
    world.ada.user_permissions.add(Permission.objects.get(codename="add_project"))


def sent_back(client: Client, **changed: Any) -> dict[str, Any]:
    """What the settings page would send if it were sent as it is, but for what is changed."""
    form = client.get(SETTINGS).context["form"]
    return {field.html_name: field.value() for field in form} | changed


class TestCreating:
    def test_takes_the_permission_and_makes_an_admin(self, world: World, ada: Client) -> None:
        sent = {"name": "Rivers of Europe", "slug": "", "description": "Long ones."}
        assert "New project" not in ada.get("/projects/").content.decode()
        assert ada.post("/projects/", sent).status_code == 403
        give_permission(world)
        assert "New project" in ada.get("/projects/").content.decode()
        answer = ada.post("/projects/", sent)
        assert answer["Location"] == "/projects/rivers-of-europe/settings/"
        assert ada.get(answer["Location"]).status_code == 200

    def test_says_what_is_wrong_beside_the_field(self, world: World, ada: Client) -> None:
        give_permission(world)
        taken_name = ada.post("/projects/", {"name": "Capitals", "slug": "capitals"})
        assert taken_name.status_code == 422
        assert "already exists" in taken_name.content.decode()
        assert "Latin letters" in ada.post("/projects/", {"name": "河流", "slug": ""}).content.decode()
        assert Project.objects.count() == 2

    def test_by_copy_takes_the_permission_and_the_role(self, world: World, ada: Client, sign_in: SignIn) -> None:
        sent = {"name": "Again", "slug": "again", "with_members": "on"}
        assert ada.post(f"{PROJECT}copy/", sent).status_code == 403
        give_permission(world)
        assert ada.get(f"{PROJECT}copy/").status_code == 200
        assert ada.post(f"{PROJECT}copy/", sent).status_code == 302
        assert Project.objects.get(slug="again").memberships.filter(user=world.alice).exists()
        for person, status in ((world.rosa, 403), (world.charlie, 404)):
            person.user_permissions.add(Permission.objects.get(codename="add_project"))
            assert sign_in(person).post(f"{PROJECT}copy/", sent | {"slug": "more"}).status_code == status


class TestArchiving:
    @pytest.mark.parametrize("verb", ["archive", "reopen"])
    def test_is_for_admins_by_post(self, world: World, sign_in: SignIn, verb: str) -> None:
        for name, person in world.everyone().items():
            expected = 302 if name == "ada" else 404 if name == "charlie" else 403
            assert sign_in(person).post(f"{PROJECT}{verb}/").status_code == expected
        assert sign_in(world.ada).get(f"{PROJECT}{verb}/").status_code == 405

    def test_hides_the_project_from_the_first_page_and_keeps_it_readable(
        self, world: World, ada: Client, sign_in: SignIn
    ) -> None:
        make_ranking_item(world.project)
        ada.post(f"{PROJECT}archive/")
        alice, rosa = sign_in(world.alice), sign_in(world.rosa)
        assert "Capitals" not in alice.get("/").content.decode()
        assert "Capitals" in alice.get("/projects/").content.decode()
        assert "Archived on" in alice.get(PROJECT).content.decode()
        assert "This project is archived" in alice.get(f"{PROJECT}work/").content.decode()
        assert rosa.get(f"{PROJECT}export/instructions.jsonl").status_code == 200
        ada.post(f"{PROJECT}reopen/")
        assert "Capitals" in alice.get("/").content.decode()


class TestSettings:
    def test_sent_as_they_are_change_nothing(self, world: World, ada: Client) -> None:
        Project.objects.filter(pk=world.project.pk).update(description="Two\nlines.")
        as_browsers_do = {"description": "Two\r\nlines."}
        assert ada.post(SETTINGS, sent_back(ada, **as_browsers_do)).status_code == 302
        assert not AuditEntry.objects.exists()

    def test_are_changed_and_stand_in_the_log_in_words(self, world: World, ada: Client) -> None:
        flags = "hallucination: Makes things up\nToo long"
        ada.post(SETTINGS, sent_back(ada, k="6", languages="en, zh", flags=flags))
        world.project.refresh_from_db()
        assert (world.project.k, world.project.languages) == (6, ["en", "zh"])
        assert world.project.flags == [
            {"key": "hallucination", "label": "Makes things up"}, {"key": "too_long", "label": "Too long"},
        ]  # fmt: skip
        log = ada.get(f"{PROJECT}audit/").content.decode()
        assert "outputs per ranking (K): 4 → 6" in log
        assert "Makes things up, Too long" in log

    def test_that_make_no_sense_are_marked_and_nothing_changes(self, world: World, ada: Client) -> None:
        wrong = {
            "k": "12", "languages": "en, en", "flags": "过长", "wide_percent": "20", "wide_overlap": "1",
            "name": "Changed", "currency": "$",
        }  # fmt: skip
        answer = ada.post(SETTINGS, sent_back(ada, **wrong))
        assert answer.status_code == 422
        errors = answer.context["form"].errors
        assert {"k", "languages", "flags", "currency"} <= set(errors)
        assert "Capitals</a>" in answer.content.decode()  # the page is still that of the project as it is
        answer = ada.post(SETTINGS, sent_back(ada, wide_percent="20", wide_overlap="1"))
        assert "need more of them" in answer.content.decode()
        world.project.refresh_from_db()
        assert (world.project.name, world.project.k) == ("Capitals", 4)


@pytest.mark.parametrize("kind", ["guidelines", "terms"])
class TestATextOfTheProject:
    def test_is_previewed_without_being_published(self, world: World, ada: Client, kind: str) -> None:
        before = getattr(world.project, kind).count()
        page = ada.post(f"{SETTINGS}{kind}/", {"text": "Be **bold** <script>", "preview": "yes"})
        assert page.status_code == 200
        assert "<strong>bold</strong> &lt;script&gt;" in page.content.decode()
        assert getattr(world.project, kind).count() == before

    def test_is_published_and_old_versions_can_be_read(self, world: World, ada: Client, kind: str) -> None:
        for text in ("First *words*.", "Second words."):
            ada.post(f"{SETTINGS}{kind}/", {"text": text})
        first, second = list(getattr(world.project, kind).order_by("version"))[-2:]
        assert (first.text, second.text, second.created_by) == ("First *words*.", "Second words.", world.ada)
        page = ada.get(f"{SETTINGS}{kind}/?version={first.version}").content.decode()
        assert "First <em>words</em>." in page
        assert "Second words." in page
        assert ada.post(f"{SETTINGS}{kind}/", {"text": "Second words."}).status_code == 422
