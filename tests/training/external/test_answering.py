"""External models answer prompts, and people rank what they say: once each, whatever fails in between."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation.models import Completion, Item, ItemKind, Pool, Prompt, Split
from annotation.refusals import Refused
from tests.training.external.endpoint import Endpoint, completion, endpoint, says
from tests.training.external.world import answering_model, ask, make_prompts, register, states, work
from tests.world import World, rank, taken
from training import registry
from training.external import answering, asking, registering
from training.external.problems import Problem
from training.models import ExternalModel, OutputRequest, RequestState, RunState, TrainingRun, WantedOutput


def test_prompts_get_outputs_that_people_rank(people: World, server: Endpoint) -> None:
    make_prompts(people, 3)
    model = answering_model(people, server)
    request = ask(people, model, prompts=2, seed=40)
    assert (states(request), Completion.objects.count()) == (["waiting"] * 8, 0)
    work(model)
    request.refresh_from_db()
    assert (states(request), request.state) == (["done"] * 8, RequestState.DONE)
    items = Item.objects.filter(kind=ItemKind.RANKING)
    assert [len(item.completions) for item in items] == [4, 4]
    ranking = rank(taken(people.project, people.alice, ItemKind.RANKING))
    assert Completion.objects.filter(pk__in=ranking.shown, generator=model.generator).count() == 4
    work(model)
    assert len(server.asked) == 8


def test_an_answer_says_how_it_came_to_be(people: World, server: Endpoint) -> None:
    [prompt] = make_prompts(people, 1)
    model = answering_model(people, server, system="Be brief.", top_p=0.9)
    request = ask(people, model, k=2, seed=40)
    work(model)
    asked = server.asked[0].content
    assert asked == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Be brief."}, *prompt.messages],
        "temperature": 0.7, "top_p": 0.9, "max_tokens": 64, "seed": 40, "stream": False,
    }  # fmt: skip
    first = Completion.objects.earliest("id")
    assert (first.text, first.seed) == (f"An answer to {prompt.text!r} by tiny with seed 40.", 40)
    assert first.sampling == {
        "request": request.pk, "endpoint": server.url, "model": "tiny", "answered_by": "tiny-2026-11",
        "system": "Be brief.", "temperature": 0.7, "top_p": 0.9, "max_tokens": 64, "finish_reason": "stop",
        "fingerprint": "fp_7", "answer": "chatcmpl-1", "tokens": 5,
    }  # fmt: skip


def test_what_is_left_empty_is_not_sent(people: World, server: Endpoint) -> None:
    make_prompts(people, 1)
    model = answering_model(people, server, temperature=None, max_tokens=None, sends_seed=False)
    ask(people, model, k=2)
    work(model)
    assert set(server.asked[0].content) == {"model", "messages", "stream"}
    assert set(Completion.objects.values_list("seed", flat=True)) == {None}


def test_several_generators_share_the_outputs_by_turns(people: World, server: Endpoint) -> None:
    make_prompts(people, 2)
    models = [answering_model(people, server, name=name, model=name) for name in ("one", "two", "three")]
    request = ask(people, *models, k=4)
    rows = WantedOutput.objects.filter(set__request=request)
    by_prompt = [
        sorted(rows.filter(set=each).values_list("generator__name", flat=True)) for each in request.sets.order_by("id")
    ]
    assert by_prompt == [["one", "one", "three", "two"], ["one", "three", "two", "two"]]
    for model in models:
        work(model)
    assert [len(item.completions) for item in Item.objects.all()] == [4, 4]


def test_a_prompt_is_asked_for_once_though_asked_for_twice(people: World, server: Endpoint) -> None:
    make_prompts(people, 3)
    model = answering_model(people, server)
    first, second = ask(people, model, prompts=2, k=2), ask(people, model, prompts=2, k=2)
    asked = [set(each.sets.values_list("prompt", flat=True)) for each in (first, second)]
    assert ([len(each) for each in asked], asked[0] & asked[1]) == ([2, 1], set())
    work(model)
    with pytest.raises(Refused, match="No prompt is left"):
        ask(people, model)


def test_filters_choose_the_prompts(people: World, server: Endpoint) -> None:
    make_prompts(people, 3)
    Prompt.objects.filter(pk=Prompt.objects.latest("id").pk).update(use_case="chat")
    model = answering_model(people, server)
    assert ask(people, model, filters={"use_cases": ["chat"]}).sets.count() == 1
    with pytest.raises(Refused):
        ask(people, model, filters={"languages": ["zh"]})


def test_prompts_that_feed_the_policy_are_not_asked_for(people: World, server: Endpoint) -> None:
    prompts = make_prompts(people, 12, split=Split.TRAIN)
    assert {prompt.pool for prompt in prompts} == set(Pool)
    found = set(asking.candidates(people.project, filters={}))
    assert found == {prompt for prompt in prompts if prompt.pool == Pool.REWARD}


def test_of_another_project_nobody_can_be_asked(people: World, server: Endpoint) -> None:
    make_prompts(people, 1)
    foreign = answering_model(people, server)
    foreign.generator.project = people.next_door
    foreign.generator.save()
    with pytest.raises(Refused, match="of this project"):
        ask(people, foreign)


HOSTILE = [
    "\x00 and \ud800 half", "<script>alert(1)</script>", "\u202eevil\u202c", "=cmd|'/c calc'!A1", "a\u0301" * 500,
    "I am ChatGPT, made by OpenAI.",
]  # fmt: skip


def test_hostile_texts_are_kept_as_texts_and_those_that_say_who_wrote_them_are_held(
    people: World, server: Endpoint
) -> None:
    make_prompts(people, 1)
    model = answering_model(people, server)
    ask(people, model, k=len(HOSTILE))
    server.behave(lambda handler: handler.say(completion(HOSTILE[handler.question.content["seed"]])))
    work(model)
    assert Completion.objects.count() == len(HOSTILE)
    [item] = Item.objects.filter(kind=ItemKind.RANKING)
    assert (len(item.completions), len(item.held)) == (len(HOSTILE) - 1, 1)
    assert "\x00" not in Completion.objects.earliest("id").text


def test_hostile_words_about_an_answer_are_kept_short_or_not_at_all(people: World, server: Endpoint) -> None:
    make_prompts(people, 1)
    model = answering_model(people, server)
    ask(people, model, k=2)
    told = {"model": "m" * 9_000, "id": {"a": []}, "system_fingerprint": "\x00", "usage": {"completion_tokens": 10**30}}
    server.behave(says(completion("Fine.", **told)))
    work(model)
    sampling = Completion.objects.earliest("id").sampling
    assert (sampling["answered_by"], "answer" in sampling, "tokens" in sampling) == ("m" * 200, False, False)
    assert sampling["fingerprint"] == "\ufffd"


class TestPace:
    def test_calls_keep_the_pace(self, people: World, server: Endpoint) -> None:
        make_prompts(people, 2)
        model = answering_model(people, server, per_minute=240)
        ask(people, model, k=2)
        begun = time.monotonic()
        work(model)
        assert (len(server.asked), time.monotonic() - begun >= 0.75) == (4, True)

    def test_a_worker_does_not_wait_longer_than_it_has(self, people: World, server: Endpoint) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server, per_minute=1)
        request = ask(people, model, k=2)
        begun = time.monotonic()
        answering.work(model.pk)
        assert time.monotonic() - begun < 5
        assert sorted(states(request)) == ["done", "waiting"]

    def test_a_model_that_asks_to_wait_is_left_alone(self, people: World, server: Endpoint) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server)
        ask(people, model, k=2)
        server.behave(says({}, status=429, Retry_After="90"))
        work(model)
        assert len(server.asked) == 1
        assert (model.next_call_at - timezone.now()).total_seconds() > 80


class TestTheFirstCall:
    def test_it_shows_that_the_model_answers(self, people: World, server: Endpoint) -> None:
        model = register(people, server)
        assert model.checked_at is None
        work(model)
        assert (model.checked_at is not None, model.problem, len(server.asked)) == (True, "", 1)
        work(model)
        assert len(server.asked) == 1

    def test_it_says_what_is_wrong(self, people: World, settings: Any) -> None:
        settings.ENDPOINT_NETWORKS = []
        with endpoint() as made:
            model = register(people, made)
            work(model)
            assert made.asked == []
        assert (model.problem, model.detail, model.stopped) == (Problem.NOT_PUBLIC, "127.0.0.1", True)


def test_a_cancelled_request_asks_for_no_more_and_ranks_what_came(people: World, server: Endpoint) -> None:
    make_prompts(people, 2)
    model = answering_model(people, server, per_minute=1)
    request = ask(people, model, k=2)
    for _call in range(2):
        ExternalModel.objects.update(next_call_at=timezone.now())
        answering.work(model.pk, seconds=1)
    asking.cancel(request, by=people.rosa)
    work(model)
    request.refresh_from_db()
    assert (request.state, len(server.asked)) == (RequestState.CANCELLED, 2)
    assert sorted(states(request)) == ["done", "done", "failed", "failed"]
    assert Item.objects.filter(kind=ItemKind.RANKING).count() == 1
    with pytest.raises(Refused, match="nothing to cancel"):
        asking.cancel(request, by=people.rosa)


@pytest.mark.django_db(transaction=True)
def test_a_request_is_cancelled_though_the_run_of_its_policy_ends_at_that_moment(people: World) -> None:
    make_prompts(people, 1)
    policy = registry.register_policy(people.project, name="ours", source="someone/ours")
    request = asking.ask(people.project, by=people.rosa, generators=[policy.generator], k=2)
    run = TrainingRun.objects.get()
    TrainingRun.objects.filter(pk=run.pk).update(state=RunState.RUNNING)

    def cancel() -> None:
        try:
            asking.cancel(request, by=people.rosa)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as somebody:
        with transaction.atomic():
            TrainingRun.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED)
            cancelled = somebody.submit(cancel)
            wait([cancelled], timeout=1)  # the row is locked until this block ends
        cancelled.result()
    request.refresh_from_db()
    assert (request.state, states(request)) == (RequestState.CANCELLED, ["failed"] * 2)


def test_an_address_may_be_written_in_chinese(people: World, server: Endpoint) -> None:
    make_prompts(people, 1)
    model = answering_model(people, server, base_url=f"{server.url}/模型/a b%20c")
    request = ask(people, model, k=2)
    work(model)
    assert states(request) == ["done"] * 2
    assert server.asked[0].path == "/v1/%E6%A8%A1%E5%9E%8B/a%20b%20c/chat/completions"


def test_a_removed_model_forgets_its_key_and_gives_up_what_waits(people: World, server: Endpoint) -> None:
    make_prompts(people, 1)
    model = answering_model(people, server)
    request = ask(people, model, k=2)
    registering.remove(model, by=people.ada)
    work(model)
    request.refresh_from_db()
    assert (server.asked, states(request), request.state) == ([], ["failed"] * 2, RequestState.DONE)
    assert ExternalModel.objects.get().sealed_key == ""
    assert not asking.generators(people.project).exists()


def test_a_prompt_that_is_taken_back_meanwhile_holds_nothing_up(people: World, server: Endpoint) -> None:
    prompts = make_prompts(people, 2)
    model = answering_model(people, server)
    request = ask(people, model, k=2)
    prompts[0].delete()
    work(model)
    request.refresh_from_db()
    assert (request.state, states(request)) == (RequestState.DONE, ["done"] * 2)
    assert OutputRequest.objects.get().sets.count() == 1
