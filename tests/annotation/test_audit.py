"""What people change stands in the log, and nothing that stands there can be changed."""

from __future__ import annotations

import io
import json

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from annotation import audit, importing, membership
from annotation.models import AuditEntry, Project, Role, User
from tests.annotation.pages.conftest import SignIn, sign_in
from tests.world import World, make_token

__all__ = ["sign_in"]

PROJECT = "/projects/capitals/"


@pytest.mark.parametrize(
    "change",
    [
        "update annotation_auditentry set actor_id = 0",
        "update annotation_auditentry set details = '{}'",
        "delete from annotation_auditentry",
    ],
)
def test_the_database_refuses_to_change_or_remove_an_entry(world: World, change: str) -> None:
    audit.record("tested", actor=world.ada, project=world.project, found=1)
    with pytest.raises(DatabaseError, match="only ever added to"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
    assert AuditEntry.objects.get().details == {"found": 1}


def test_an_entry_outlives_its_person_and_project(world: World) -> None:
    audit.record("tested", actor=world.charlie, project=world.next_door)
    world.charlie.delete()
    world.next_door.delete()
    assert AuditEntry.objects.get().actor_id


def test_members_imports_exports_and_tokens_are_logged(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.ada)
    client.post(f"{PROJECT}members/", {"username": "charlie", "role": "annotator"})
    client.post(f"{PROJECT}members/", {"username": "charlie", "role": "annotator"})  # is one already
    client.post(f"{PROJECT}members/{world.project.memberships.get(user=world.charlie).pk}/remove/")
    importing.import_rows(
        world.project, "instructions", io.BytesIO(b'{"prompt": "Name a river."}'), user=world.ada, name="rivers.jsonl"
    )
    importing.import_rows(world.project, "instructions", io.BytesIO(b"{}"), user=world.ada, name="bad.jsonl")
    client.get(f"{PROJECT}export/instructions.csv")
    Client(headers={"Authorization": f"Bearer {make_token(world.rosa)}"}).get(
        "/api/v1/projects/capitals/export/rankings.jsonl"
    )
    client.post("/account/tokens/", {"name": "nightly", "days": 3, "scopes": ["read"]})
    found = [(entry.action, entry.actor_id) for entry in AuditEntry.objects.order_by("pk")]
    assert found == [
        ("member_added", world.ada.pk),
        ("member_removed", world.ada.pk),
        ("imported", world.ada.pk),
        ("exported", world.ada.pk),
        ("exported", world.rosa.pk),
        ("token_made", world.ada.pk),
    ]
    page = client.get(f"{PROJECT}audit/").content.decode()
    for said in ("charlie as annotator", "rivers.jsonl: 1 new, 0 known, 0 bad", "Instructions as csv"):
        assert said in page
    assert "nightly" not in page  # a person's tokens are no project's


def test_the_log_shows_names_that_it_does_not_hold(world: World, sign_in: SignIn) -> None:
    invitation, _secret = membership.invite(world.project, by=world.ada, name="For Charlie", roles=[Role.REVIEWER])
    membership.join(invitation, world.charlie)
    page = sign_in(world.ada).get(f"{PROJECT}audit/").content.decode()
    assert "“For Charlie”: 1 to be reviewer" in page
    assert "charlie as reviewer, by “For Charlie”" in page
    assert "charlie" not in json.dumps([entry.details for entry in AuditEntry.objects.all()]).lower()
    number = invitation.pk
    world.charlie.delete()
    invitation.delete()
    page = sign_in(world.ada).get(f"{PROJECT}audit/").content.decode()
    assert f"somebody who is gone as reviewer, by “{number}”" in page


def test_settings_changed_in_the_administration_are_logged(world: World) -> None:
    chief = User.objects.create_superuser("root", password="x")
    client = Client()
    client.force_login(chief)
    address = f"/admin/annotation/project/{world.project.pk}/change/"
    form = client.get(address).context["adminform"].form
    sent = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    sent |= {
        "flags": json.dumps(sent["flags"]),
        "languages": "en",
        "overlap": 3,
        "archived_at_0": "",
        "archived_at_1": "",
    }
    for prefix in ("memberships", "guidelines", "terms"):
        sent |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    answered = client.post(address, {name: value for name, value in sent.items() if value is not None})
    assert answered.status_code == 302, answered.context["errors"]
    assert Project.objects.get(pk=world.project.pk).overlap == 3
    (entry,) = AuditEntry.objects.filter(project_id=world.project.pk)
    assert (entry.action, entry.actor_id) == ("administered", chief.pk)
    assert "annotators per ranking" in json.dumps(entry.details["fields"]).lower()


def test_the_log_is_filtered_and_entries_of_others_are_shown_as_they_are(world: World, sign_in: SignIn) -> None:
    audit.record("observed", actor=None, project=world.project, number=3)
    audit.record(audit.Action.EXPORTED, actor=world.ada, project=world.project, kind="rankings", format="csv")
    audit.record(audit.Action.EXPORTED, actor=world.ada, project=world.project, surprise=True)
    audit.record("elsewhere", actor=world.charlie, project=world.next_door)
    client = sign_in(world.ada)
    page = client.get(f"{PROJECT}audit/").content.decode()
    for said in ("observed", "number: 3", "the system", "Rankings as csv", "surprise"):
        assert said in page
    assert "elsewhere" not in page
    assert "number: 3" not in client.get(f"{PROJECT}audit/?action=exported").content.decode()
