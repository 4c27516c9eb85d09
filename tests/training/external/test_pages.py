"""What an admin and a researcher do about external models and requests for outputs, in pages and by the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from annotation.models import AuditEntry, Completion, Item, ItemKind, Split
from tests.training.carrying_on import sample
from tests.training.external.endpoint import KEY, Endpoint, says
from tests.training.external.world import answering_model, ask, make_prompts, states, work
from tests.world import World, make_generator, make_token
from training import registry, runs
from training.external import answering, settling
from training.models import ExternalModel, OutputRequest, Policy, RequestState, RunState, TrainingRun, WantedOutput

FORM = {
    "name": "elsewhere",
    "model": "tiny",
    "key": KEY,
    "temperature": "0.7",
    "max_tokens": "64",
    "per_minute": "600",
    "sends_seed": "on",
}


def browser(person: Any) -> Client:
    client = Client()
    client.force_login(person)
    return client


def script(person: Any) -> Client:
    return Client(headers={"Authorization": f"Bearer {make_token(person)}"})


def test_an_admin_adds_a_model_a_researcher_asks_it_and_people_rank(people: World, server: Endpoint) -> None:
    make_prompts(people, 3)
    ada, rosa = browser(people.ada), browser(people.rosa)
    added = ada.post("/projects/capitals/external-models/", {**FORM, "base_url": server.url})
    model = ExternalModel.objects.get()
    assert added["Location"] == f"/external-models/{model.pk}/"
    assert "not asked yet" in ada.get(added["Location"]).content.decode()
    work(model)
    assert "ready" in ada.get(added["Location"]).content.decode()
    page = rosa.get("/projects/capitals/outputs/").content.decode()
    assert "3 prompts have no outputs to rank yet." in page
    assert "External models</a>" not in page  # those are the admins'
    asked = rosa.post("/projects/capitals/outputs/", {"generators": [model.generator_id], "prompts": "2", "k": "4"})
    work(model)
    page = rosa.get(asked["Location"]).content.decode()
    assert (Item.objects.filter(kind=ItemKind.RANKING).count(), "of 8 wanted" in page) == (2, True)
    told = list(AuditEntry.objects.filter(project_id=people.project.pk).values_list("action", flat=True))
    assert sorted(each for each in told if each.startswith(("external", "outputs"))) == [
        "external_added",
        "outputs_asked",
    ]
    log = ada.get("/projects/capitals/audit/").content.decode()
    assert "4 outputs to each of 2 prompts by elsewhere" in log
    assert "elsewhere at 127.0.0.1" in log


def test_the_project_page_leads_researchers_there_and_nobody_else(people: World) -> None:
    for person, there in ((people.rosa, True), (people.ada, True), (people.alice, False), (people.rita, False)):
        page = browser(person).get("/projects/capitals/").content.decode()
        assert ("/projects/capitals/outputs/" in page) == there


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"base_url": "nonsense"}, "expected one such as"),
        ({"base_url": "https://user:pw@example.org/v1"}, "expected one such as"),
        ({"key": "two words"}, "This is no key"),
        ({"name": ""}, "This field is required"),
        ({"temperature": "3"}, "less than or equal to 2"),
        ({"temperature": "nan"}, "Enter a number"),
        ({"per_minute": "0"}, "greater than or equal to 1"),
    ],
)
def test_a_model_that_cannot_be_is_refused_with_a_reason(people: World, sent: dict[str, str], said: str) -> None:
    given = {**FORM, "base_url": "https://api.example.org/v1", **sent}
    response = browser(people.ada).post("/projects/capitals/external-models/", given)
    assert (response.status_code, said in response.content.decode()) == (422, True)
    assert not ExternalModel.objects.exists()


def test_a_name_that_is_taken_is_refused(people: World, server: Endpoint) -> None:
    answering_model(people, server)
    response = browser(people.ada).post("/projects/capitals/external-models/", {**FORM, "base_url": server.url})
    assert (response.status_code, "a generator named elsewhere already" in response.content.decode()) == (422, True)


def test_settings_are_changed_and_the_key_is_kept_where_its_field_is_empty(people: World, server: Endpoint) -> None:
    model = answering_model(people, server)
    sealed = model.sealed_key
    given = {**FORM, "base_url": server.url, "key": "", "temperature": "", "system": "Be brief."}
    assert browser(people.ada).post(f"/external-models/{model.pk}/", given).status_code == 302
    model.refresh_from_db()
    assert (model.sealed_key, model.temperature, model.system, model.sends_seed) == (sealed, None, "Be brief.", True)
    assert model.checked_at is None
    moved = browser(people.ada).post(f"/external-models/{model.pk}/", {**given, "base_url": "https://evil.example/v1"})
    assert (moved.status_code, "Enter the key again" in moved.content.decode()) == (422, True)


def test_what_is_wrong_is_said_on_its_page_and_asked_again_from_there(people: World, server: Endpoint) -> None:
    model = answering_model(people, server)
    ExternalModel.objects.update(problem="key_refused", detail="401 <b>no</b>", stopped=True)
    ada = browser(people.ada)
    page = ada.get(f"/external-models/{model.pk}/").content.decode()
    assert "It refuses the key:" in page
    assert "401 &lt;b&gt;no&lt;/b&gt;" in page
    ada.post(f"/external-models/{model.pk}/check/")
    model.refresh_from_db()
    assert (model.stopped, model.checked_at) == (False, None)
    ada.post(f"/external-models/{model.pk}/remove/")
    assert "removed" in ada.get(f"/external-models/{model.pk}/").content.decode()


def test_a_request_is_refused_with_a_reason(people: World, server: Endpoint) -> None:
    model = answering_model(people, server)
    rosa = browser(people.rosa)
    for sent, said in (
        ({"k": "4"}, "This field is required"),
        ({"k": "10", "generators": [model.generator_id]}, "less than or equal to 9"),
        ({"k": "4", "generators": [999_999]}, "Select a valid choice"),
        ({"k": "4", "generators": [model.generator_id]}, "No prompt is left"),
    ):
        response = rosa.post("/projects/capitals/outputs/", sent)
        assert (response.status_code, said in response.content.decode()) == (422, True), said
    assert not OutputRequest.objects.exists()


def test_a_request_is_cancelled(people: World, server: Endpoint) -> None:
    make_prompts(people, 1)
    request = ask(people, answering_model(people, server))
    browser(people.rosa).post(f"/outputs/{request.pk}/cancel/")
    request.refresh_from_db()
    assert request.state == RequestState.CANCELLED


def test_the_api_does_the_same(people: World, server: Endpoint) -> None:
    make_prompts(people, 2)
    ada, rosa = script(people.ada), script(people.rosa)
    new = {"name": "elsewhere", "base_url": server.url, "model": "tiny", "key": KEY, "per_minute": 6_000}
    made = ada.post("/api/v1/projects/capitals/external-models/", new, content_type="application/json")
    assert (made.status_code, made.json()["has_key"], "key" in made.json()) == (201, True, False)
    model = ExternalModel.objects.get()
    work(model)
    at = f"/api/v1/external-models/{model.pk}/"
    assert ada.get(at).json()["problem"] == ""
    changed = ada.patch(at, {"temperature": None}, content_type="application/json").json()
    assert (changed["temperature"], changed["has_key"], changed["per_minute"]) == (None, True, 6_000)
    moved = ada.patch(at, {"base_url": "https://evil.example/v1"}, content_type="application/json")
    assert (moved.status_code, "Enter the key again" in moved.json()["detail"]) == (409, True)
    assert ada.post(f"{at}check/").status_code == 202
    body = {"generators": [model.generator_id], "prompts": 1, "k": 3}
    asked = rosa.post("/api/v1/projects/capitals/outputs/", body, content_type="application/json")
    assert (asked.status_code, asked.json()["progress"]["waiting"]) == (201, 3)
    work(model)
    found = rosa.get(f"/api/v1/outputs/{asked.json()['id']}/").json()
    assert (found["state"], found["progress"]["done"], found["progress"]["queued"]) == ("done", 3, 1)
    assert rosa.post(f"/api/v1/outputs/{found['id']}/cancel/").status_code == 409
    theirs = make_generator(people.next_door).pk
    for number in (999_999, theirs):  # what is of another project is not there
        body = {"generators": [number]}
        foreign = rosa.post("/api/v1/projects/capitals/outputs/", body, content_type="application/json")
        assert (foreign.status_code, f"no generator {number}" in foreign.json()["detail"]) == (409, True)
    assert ada.delete(at).status_code == 204
    assert ExternalModel.objects.get().sealed_key == ""


class TestPolicies:
    @pytest.fixture
    def policy(self, people: World) -> Policy:
        return registry.register_policy(people.project, name="ours", source="someone/ours")

    def end(self, run: TrainingRun, texts: list[str]) -> None:
        """What a worker does at the end of a run that samples."""
        claimed = TrainingRun.objects.claim(run.pk, worker="test")
        assert claimed is not None
        run.folder.mkdir(parents=True, exist_ok=True)
        said = [sample(text) | {"seed": number} for number, text in enumerate(texts)]
        lines = [{"id": row["id"], "completions": said} for row in run.inputs["prompts"]]
        (run.folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        runs.finish(claimed, {})

    def test_share_sets_with_external_models(self, people: World, server: Endpoint, policy: Policy) -> None:
        make_prompts(people, 2)
        model = answering_model(people, server)
        body = {"generators": [model.generator_id, policy.generator_id], "k": 4}
        script(people.rosa).post("/api/v1/projects/capitals/outputs/", body, content_type="application/json")
        run = TrainingRun.objects.get()
        assert (run.base, run.hyperparameters["completions"], run.inputs["queue"]) == (policy, 2, False)
        work(model)
        self.end(run, ["one", "two"])
        assert not Item.objects.filter(kind=ItemKind.RANKING).exists()
        settling.take_samples(run.pk)
        settling.take_samples(run.pk)
        items = Item.objects.filter(kind=ItemKind.RANKING)
        assert [len(item.completions) for item in items] == [4, 4]
        kinds = Completion.objects.filter(pk__in=items[0].completions).values_list("generator__kind", flat=True)
        assert sorted(kinds) == ["external", "external", "policy", "policy"]
        assert Completion.objects.filter(generator=policy.generator).earliest("id").sampling["run"] == run.pk
        assert OutputRequest.objects.get().state == RequestState.DONE

    def test_that_fail_leave_the_set_to_the_others(self, people: World, server: Endpoint, policy: Policy) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server)
        generators = [model.generator_id, policy.generator_id]
        browser(people.rosa).post("/projects/capitals/outputs/", {"generators": generators, "k": "4"})
        work(model)
        TrainingRun.objects.update(state=RunState.FAILED)
        answering.sweep()
        request = OutputRequest.objects.get()
        assert (sorted(states(request)), request.state) == (["done", "done", "failed", "failed"], RequestState.DONE)
        assert Item.objects.filter(kind=ItemKind.RANKING).count() == 1

    def test_that_say_nothing_give_no_output(self, people: World, policy: Policy) -> None:
        make_prompts(people, 1, split=Split.TEST)
        browser(people.rosa).post("/projects/capitals/outputs/", {"generators": [policy.generator_id], "k": "3"})
        run = TrainingRun.objects.get()
        self.end(run, ["one", "  ", "two"])
        settling.take_samples(run.pk)
        assert list(WantedOutput.objects.order_by("number").values_list("state", flat=True)) == [
            "done",
            "failed",
            "done",
        ]
        assert Item.objects.get(kind=ItemKind.RANKING).completions == list(
            Completion.objects.order_by("id").values_list("id", flat=True)
        )

    def test_are_stopped_with_the_request(self, people: World, policy: Policy) -> None:
        make_prompts(people, 1)
        browser(people.rosa).post("/projects/capitals/outputs/", {"generators": [policy.generator_id], "k": "3"})
        browser(people.rosa).post(f"/outputs/{OutputRequest.objects.get().pk}/cancel/")
        assert TrainingRun.objects.get().state == RunState.CANCELLED


def test_people_who_rank_see_nothing_of_it(people: World, server: Endpoint) -> None:
    make_prompts(people, 1)
    model = answering_model(people, server, name="elsewhere-large")
    ask(people, model)
    work(model)
    alice = browser(people.alice)
    page = alice.post("/projects/capitals/work/", follow=True)
    seen = page.content.decode() + script(people.alice).post("/api/v1/projects/capitals/take/").content.decode()
    assert "An answer to" in seen
    for word in ("elsewhere", "tiny", server.url, "chatcmpl", "fp_7", "external"):
        assert word not in seen.replace("by tiny with", ""), word


@pytest.mark.parametrize(
    ("status", "said"),
    [(503, "is asked again a few times, later each time."), (400, "is given up; whatever else waits")],
)
def test_what_becomes_of_a_question_that_went_wrong_is_said_as_it_is(
    people: World, server: Endpoint, status: int, said: str
) -> None:
    make_prompts(people, 1)
    model = answering_model(people, server)
    request = ask(people, model, k=2)
    server.behave(says({}, status=status))
    work(model)
    assert set(states(request)) == ({"waiting"} if status == 503 else {"failed"})
    assert said in browser(people.ada).get(f"/external-models/{model.pk}/").content.decode()
