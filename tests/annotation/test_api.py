"""Every endpoint of the collecting side, for each of the people."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation.models import ApiToken, Assignment, AssignmentState, Demonstration, Prompt, Ranking, User
from tests.world import PASSWORD, World, make_prompt, make_ranking_item, make_token, taken

MEMBERS = ("alice", "bob", "rita", "rosa", "ada")
OUTSIDE = 404


class Api:
    """A client that signs in with a token and talks JSON."""

    def __init__(self, person: User | None) -> None:
        headers = {"Authorization": f"Bearer {make_token(person)}"} if person else {}
        self.client = Client(headers=headers)

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/v1/{path}")

    def post(self, path: str, **content: Any) -> Any:
        return self.client.post(f"/api/v1/{path}", content, content_type="application/json")

    def upload(self, path: str, text: str, **content: Any) -> Any:
        file = SimpleUploadedFile("rows.jsonl", text.encode())
        return self.client.post(f"/api/v1/{path}", {"file": file, **content})


@pytest.fixture
def alice(world: World) -> Api:
    return Api(world.alice)


def in_order(assignment: dict[str, Any]) -> list[list[str]]:
    return [[output["id"]] for output in assignment["completions"]]


class TestWhoMayDoWhat:
    """Members without the role are refused (403); to others the project is not there (404)."""

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("get", "projects/capitals/", MEMBERS),
            ("get", "projects/capitals/progress/", MEMBERS),
            ("post", "projects/capitals/queue/take/", ("alice", "bob")),
            ("get", "projects/capitals/held/", ("ada",)),
            ("upload", "projects/capitals/import/instructions/", ("ada",)),
            ("get", "projects/capitals/export/rankings.jsonl", ("rosa", "ada")),
        ],
    )
    def test_of_a_project(self, world: World, method: str, path: str, allowed: tuple[str, ...]) -> None:
        for name, person in world.everyone().items():
            api = Api(person)
            response = api.upload(path, '{"prompt": "Why?"}') if method == "upload" else getattr(api, method)(path)
            refused = 403 if name in MEMBERS else OUTSIDE
            assert (response.status_code in (200, 204)) if name in allowed else (response.status_code == refused), name

    @pytest.mark.parametrize("path", ["", "submit/", "skip/", "heartbeat/", "draft/"])
    def test_of_an_assignment_its_annotator_alone(self, world: World, path: str) -> None:
        make_ranking_item(world.project)
        assignment = taken(world.project, world.alice)
        for name, person in world.everyone().items():
            api = Api(person)
            where = f"assignments/{assignment.pk}/{path}"
            response = api.post(where) if path else api.get(where)
            assert (response.status_code == OUTSIDE) == (name != "alice"), name
        assignment.refresh_from_db()
        assert assignment.state == AssignmentState.LEASED

    def test_an_annotator_who_left_has_no_assignment_any_more(self, world: World, alice: Api) -> None:
        make_ranking_item(world.project)
        assignment = taken(world.project, world.alice)
        world.alice.memberships.all().delete()
        assert alice.get(f"assignments/{assignment.pk}/").status_code == OUTSIDE

    @pytest.mark.parametrize("path", ["projects/", "projects/capitals/", "assignments/1/", "tokens/"])
    def test_nobody_without_signing_in(self, world: World, path: str) -> None:
        assert Api(None).get(path).status_code == 401

    def test_the_list_of_projects_is_ones_own(self, world: World) -> None:
        slugs = {name: [p["slug"] for p in Api(person).get("projects/").json()["results"]] for name, person in
                 world.everyone().items()}  # fmt: skip
        assert slugs == dict.fromkeys(MEMBERS, ["capitals"]) | {"charlie": ["next-door"]}

    def test_a_project_says_what_ones_roles_are(self, world: World) -> None:
        roles = {name: Api(getattr(world, name)).get("projects/capitals/").json()["roles"] for name in MEMBERS}
        assert roles["alice"] == ["annotator"]
        assert roles["ada"] == ["admin", "researcher", "reviewer"]

    def test_a_superuser_administers_every_project_but_annotates_in_none(self, world: World) -> None:
        api = Api(User.objects.create_superuser("root"))
        assert api.get("projects/capitals/export/rankings.jsonl").status_code == 200
        assert api.post("projects/capitals/queue/take/").status_code == 403

    @pytest.mark.parametrize(
        "path",
        ["projects/nowhere/", "projects/capitals/export/secrets.jsonl", "projects/capitals/export/rankings.xlsx"],
    )
    def test_what_there_is_not_is_not_there(self, world: World, path: str) -> None:
        assert Api(world.ada).get(path).status_code == 404

    @pytest.mark.parametrize(
        "path", ["projects/capitals/queue/take/", "assignments/{pk}/submit/", "assignments/{pk}/skip/"]
    )
    def test_looking_changes_nothing(self, world: World, alice: Api, path: str) -> None:
        make_ranking_item(world.project)
        assert alice.get(path.format(pk=taken(world.project, world.alice).pk)).status_code == 405


class TestRanking:
    def test_from_taking_to_the_record(self, world: World, alice: Api) -> None:
        make_ranking_item(world.project)
        assignment = alice.post("projects/capitals/queue/take/").json()
        b, a, d, c = (output["id"] for output in assignment["completions"])
        response = alice.post(
            f"assignments/{assignment['id']}/submit/", client_key=str(uuid.uuid4()), groups=[[c], [a, b], [d]],
            ratings={c: 6}, flags={d: {"opinion": "no"}}, note="Fine.", seconds=31,
        )  # fmt: skip
        assert response.json() == {"id": assignment["id"], "state": "submitted", "next": None}
        record = Ranking.objects.get()
        ids = dict(zip("abcd", Assignment.objects.get().shown, strict=True))
        assert record.groups == [[ids[c]], sorted([ids[a], ids[b]]), [ids[d]]]
        assert record.ratings == {str(ids[c]): 6}
        assert record.flags == {str(ids[d]): {"opinion": "no"}}
        assert (record.annotator, record.note, record.seconds) == (world.alice, "Fine.", 31)

    def test_letters_follow_the_order_shown(self, world: World, alice: Api) -> None:
        make_ranking_item(world.project)
        assignment = alice.post("projects/capitals/queue/take/").json()
        assert "".join(output["id"] for output in assignment["completions"]) == "abcd"
        texts = dict(world.project.generators.get().completions.values_list("pk", "text"))
        shown = Assignment.objects.get().shown
        assert [output["text"] for output in assignment["completions"]] == [texts[pk] for pk in shown]

    def test_the_next_piece_comes_with_the_submit(self, world: World, alice: Api) -> None:
        for _number in range(2):
            make_ranking_item(world.project)
        first = alice.post("projects/capitals/queue/take/").json()
        sent = {"client_key": str(uuid.uuid4()), "groups": in_order(first), "take_next": True}
        answer = alice.post(f"assignments/{first['id']}/submit/", **sent).json()
        assert answer["next"]["id"] != first["id"]
        again = alice.post(f"assignments/{first['id']}/submit/", **sent)
        assert again.status_code == 200
        assert again.json()["next"]["id"] == answer["next"]["id"]
        assert Ranking.objects.count() == 1

    def test_the_author_is_who_signs_in_whatever_the_request_says(self, world: World, alice: Api) -> None:
        make_ranking_item(world.project)
        first = alice.post("projects/capitals/queue/take/").json()
        alice.post(
            f"assignments/{first['id']}/submit/", client_key=str(uuid.uuid4()), groups=in_order(first),
            annotator=world.bob.pk, user="bob", review="accepted",
        )  # fmt: skip
        record = Ranking.objects.get()
        assert (record.annotator, record.review) == (world.alice, "pending")

    @pytest.mark.parametrize(
        ("content", "status", "reason"),
        [
            ({"groups": [["a"], ["b"], ["c"]]}, 409, "exactly once"),
            ({"groups": [["a"], ["b"], ["c"], ["e"]]}, 409, "no output 'e'"),
            ({"groups": [["a", "b", "c", "d"]], "ratings": {"z": 3}}, 409, "no output 'z'"),
            ({"groups": [["a", "b", "c", "d"]], "ratings": {"a": 9}}, 409, "1 to 7"),
            ({"groups": [["a", "b", "c", "d"]], "flags": {"a": {"rude": "yes"}}}, 409, "no flag"),
            ({"groups": [["a", "b", "c", "d"]], "seconds": -1}, 400, "greater than or equal"),
            ({"groups": [["a", "b", "c", "d"]], "seconds": "nan"}, 400, "valid number"),
            ({"groups": "abcd"}, 400, "list"),
            ({"groups": [["a", "b", "c", "d"]], "client_key": "1"}, 400, "UUID"),
            ({}, 400, "required"),
        ],
    )
    def test_what_is_wrong_is_refused_with_the_reason(
        self, world: World, alice: Api, content: dict[str, Any], status: int, reason: str
    ) -> None:
        make_ranking_item(world.project)
        assignment = taken(world.project, world.alice)
        response = alice.post(f"assignments/{assignment.pk}/submit/", **{"client_key": str(uuid.uuid4())} | content)
        assert response.status_code == status
        assert reason in response.content.decode()
        assert not Ranking.objects.exists()

    def test_sent_again_with_other_content_is_a_conflict(self, world: World, alice: Api) -> None:
        make_ranking_item(world.project)
        first = alice.post("projects/capitals/queue/take/").json()
        key = str(uuid.uuid4())
        where = f"assignments/{first['id']}/submit/"
        assert alice.post(where, client_key=key, groups=in_order(first)).status_code == 200
        assert alice.post(where, client_key=key, groups=in_order(first)[::-1]).status_code == 409


class TestOtherWork:
    def test_a_demonstration(self, world: World, alice: Api) -> None:
        world.project.demonstrations_per_prompt = 1
        make_prompt(world.project)
        assignment = alice.post("projects/capitals/queue/take/", kinds=["demonstration"]).json()
        assert assignment["prompt"] == {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
        assert assignment["completions"] == []
        alice.post(f"assignments/{assignment['id']}/submit/", client_key=str(uuid.uuid4()), text="Paris.")
        assert Demonstration.objects.get().author == world.alice

    def test_an_instruction(self, world: World, alice: Api) -> None:
        world.project.instructions_wanted = 1
        world.project.save()
        assignment = alice.post("projects/capitals/queue/take/").json()
        assert (assignment["kind"], assignment["prompt"], assignment["languages"]) == ("instruction", None, ["en"])
        alice.post(
            f"assignments/{assignment['id']}/submit/", client_key=str(uuid.uuid4()), language="en", use_case="chat",
            messages=[{"role": "user", "content": "Say hello."}],
        )  # fmt: skip
        assert Prompt.objects.get().author == world.alice

    def test_nothing_waits(self, world: World, alice: Api) -> None:
        response = alice.post("projects/capitals/queue/take/")
        assert (response.status_code, response.content) == (204, b"")

    def test_only_kinds_that_there_are(self, world: World, alice: Api) -> None:
        assert alice.post("projects/capitals/queue/take/", kinds=["poem"]).status_code == 400

    def test_skipping(self, world: World, alice: Api) -> None:
        make_ranking_item(world.project)
        assignment = taken(world.project, world.alice)
        assert alice.post(f"assignments/{assignment.pk}/skip/", reason="dull").status_code == 400
        answer = alice.post(f"assignments/{assignment.pk}/skip/", reason="unsafe", take_next=True).json()
        assert answer == {"id": assignment.pk, "state": "skipped", "next": None}

    def test_a_draft_comes_back_with_the_assignment(self, world: World, alice: Api) -> None:
        make_ranking_item(world.project)
        assignment = taken(world.project, world.alice)
        draft = {"groups": [["a"]], "note": "so far"}
        assert alice.post(f"assignments/{assignment.pk}/draft/", draft=draft).status_code == 200
        assert alice.get(f"assignments/{assignment.pk}/").json()["draft"] == draft

    def test_a_heartbeat_says_when_the_lease_ends(self, world: World, alice: Api) -> None:
        make_ranking_item(world.project)
        assignment = taken(world.project, world.alice)
        Assignment.objects.update(lease_expires_at=timezone.now())
        answer = alice.post(f"assignments/{assignment.pk}/heartbeat/").json()
        assert answer["state"] == "leased"
        assert answer["lease_expires_at"] > (timezone.now() + timedelta(minutes=14)).isoformat()[:19]

    def test_progress(self, world: World, alice: Api) -> None:
        make_ranking_item(world.project, overlap=3)
        taken(world.project, world.alice)
        assert alice.get("projects/capitals/progress/").json() == {
            "prompts": 1, "demonstrations": 0, "completions": 4, "rankings": 0,
            "open": {"instruction": 0, "demonstration": 0, "ranking": 2}, "leased": 1, "active_annotators": 1,
        }  # fmt: skip


class TestData:
    def test_comes_in_and_bad_lines_are_reported(self, world: World) -> None:
        lines = '{"prompt": "One?"}\nnot json\n{"prompt": "Two?"}\n'
        api = Api(world.ada)
        report = api.upload("projects/capitals/import/instructions/", lines).json()
        assert (report["rows"], report["bad"], [error["line"] for error in report["errors"]]) == (0, 1, [2])
        report = api.upload("projects/capitals/import/instructions/", lines, keep_good=True).json()
        assert (report["rows"], report["bad"]) == (2, 1)

    def test_goes_out_whatever_the_client_accepts(self, world: World) -> None:
        make_prompt(world.project)
        api = Api(world.rosa)
        response = api.client.get("/api/v1/projects/capitals/export/instructions.csv", headers={"accept": "text/csv"})
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert response.headers["Content-Disposition"] == 'attachment; filename="capitals-instructions.csv"'
        assert b"What is the capital of France?" in response.getvalue()

    def test_of_unknown_kinds_is_not_there(self, world: World) -> None:
        assert Api(world.ada).upload("projects/capitals/import/secrets/", "").status_code == 404


class TestTokens:
    def test_are_made_by_people_who_signed_in_and_shown_once(self, world: World) -> None:
        browser = Client()
        browser.login(username="alice", password=PASSWORD)
        made = browser.post("/api/v1/tokens/", {"name": "laptop", "days": 30}, content_type="application/json").json()
        assert made["token"].startswith("plumb_")
        assert made["token"] not in json.dumps(list(ApiToken.objects.values()), default=str)
        listed = browser.get("/api/v1/tokens/").json()["results"]
        assert [token.keys() for token in listed] == [
            {"id", "name", "scopes", "created_at", "expires_at", "last_used_at"}
        ]
        api = Client(headers={"Authorization": f"Bearer {made['token']}"})
        assert api.get("/api/v1/projects/").status_code == 200
        assert browser.delete(f"/api/v1/tokens/{made['id']}/").status_code == 204
        assert api.get("/api/v1/projects/").status_code == 401

    def test_can_not_make_tokens(self, alice: Api) -> None:
        assert alice.post("tokens/", name="longer", days=365).status_code == 403

    def test_expire(self, world: World) -> None:
        secret = make_token(world.alice, lifetime=timedelta(seconds=-1))
        assert Client(headers={"Authorization": f"Bearer {secret}"}).get("/api/v1/projects/").status_code == 401

    @pytest.mark.parametrize("sent", ["Bearer plumb_unknown", "Bearer ", "Bearer \xff", "bearer"])
    def test_that_are_not_known_let_nobody_in(self, world: World, sent: str) -> None:
        assert Client(headers={"Authorization": sent}).get("/api/v1/projects/").status_code == 401

    def test_of_somebody_who_left_let_nobody_in(self, world: World, alice: Api) -> None:
        User.objects.filter(pk=world.alice.pk).update(is_active=False)
        assert alice.get("projects/").status_code == 401

    def test_of_others_can_not_be_removed(self, world: World, alice: Api) -> None:
        make_token(world.bob)
        theirs = ApiToken.objects.get(user=world.bob)
        assert alice.client.delete(f"/api/v1/tokens/{theirs.pk}/").status_code == 404

    @pytest.mark.parametrize("days", [0, 366])
    def test_live_a_year_at_most(self, world: World, days: int) -> None:
        browser = Client()
        browser.login(username="alice", password=PASSWORD)
        sent = {"name": "laptop", "days": days}
        assert browser.post("/api/v1/tokens/", sent, content_type="application/json").status_code == 400

    def test_a_page_of_another_site_can_not_use_the_session(self, world: World) -> None:
        browser = Client(enforce_csrf_checks=True)
        browser.login(username="alice", password=PASSWORD)
        sent = {"name": "laptop", "days": 3}
        assert browser.post("/api/v1/tokens/", sent, content_type="application/json").status_code == 403


def test_a_cycle_of_take_and_submit_is_at_most_twelve_statements(world: World, alice: Api) -> None:
    make_ranking_item(world.project)
    alice.get("projects/")  # once a minute it is noted that the token is used, and its requests are counted in blocks
    with CaptureQueriesContext(connection) as queries:
        assignment = alice.post("projects/capitals/queue/take/").json()
        alice.post(f"assignments/{assignment['id']}/submit/", client_key=str(uuid.uuid4()), groups=in_order(assignment))
    assert Ranking.objects.count() == 1
    sent = [query["sql"] for query in queries]
    # Within a test's transaction savepoints stand for BEGIN and COMMIT, and one more is put around TAKE.
    beside_take = [sql for sql in sent if not sql.startswith(("SAVEPOINT", "RELEASE"))]
    assert len(beside_take) + 2 <= 12, "\n".join(sent)


def test_the_schema_has_no_warnings(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    browser = Client()
    browser.login(username="alice", password=PASSWORD)
    schema = browser.get("/api/schema/?format=json")
    assert schema.status_code == 200
    assert "/api/v1/assignments/{id}/submit/" in schema.json()["paths"]
    assert capsys.readouterr().err.splitlines() == []


def test_what_a_writer_should_know_of_a_text_is_told_and_nothing_is_kept(world: World, alice: Api) -> None:
    make_prompt(world.project, "Name five rivers of Europe and where each one ends.")
    text = "Name five rivers of Europe and where each ends. me@example.org"
    messages = [{"role": "user", "content": text}]
    near, mail = alice.post("projects/capitals/point-out/", messages=messages).json()["pointed_out"]
    assert "where each one ends" in near
    assert "me@example.org" in mail
    assert Prompt.objects.count() == 1


def test_a_skip_is_undone_and_a_submission_edited(world: World, alice: Api) -> None:
    make_ranking_item(world.project, texts=("one", "two"))
    piece = taken(world.project, world.alice)
    path = f"assignments/{piece.pk}/"
    alice.post(f"{path}skip/", reason="other")
    assert alice.post(f"{path}skip/undo/").json()["state"] == "leased"
    key = str(uuid.uuid4())
    assert alice.post(f"{path}edit/", client_key=key, groups=[["a"], ["b"]]).status_code == 409
    alice.post(f"{path}submit/", client_key=key, groups=[["a"], ["b"]])
    assert alice.post(f"{path}edit/", client_key=key, groups=[["a", "b"]]).status_code == 200
    assert Ranking.objects.get().groups == [sorted(piece.shown)]


def test_a_page_is_of_a_thousand_at_most_whatever_limit_is_asked_for(world: World, alice: Api) -> None:
    for limit in (1, 10**4, 10**24):
        answer = alice.get(f"tokens/?limit={limit}")
        assert answer.status_code == 200
        assert len(answer.json()["results"]) == 1
