"""What comes of answers that fail, and that each comes once, whoever dies or is quick meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from annotation.models import Completion, Item, ItemKind
from tests.training.external.endpoint import (
    KEY,
    Endpoint,
    Handler,
    answers,
    completion,
    endpoint,
    says,
    sends_elsewhere,
)
from tests.training.external.world import answering_model, ask, make_prompts, states, work
from tests.world import World
from training.external import answering, registering, settling
from training.external.problems import Problem
from training.models import ExternalModel, RequestState, WantedOutput, WantedSet


class TestFailures:
    @pytest.fixture(autouse=True)
    def no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answering, "FIRST_WAIT", 0.0)

    def test_a_server_that_fails_now_and_then_is_asked_again(self, people: World, server: Endpoint) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server)
        request = ask(people, model, k=3)
        server.behave(every_other_time())
        work(model)
        assert (states(request), Completion.objects.count()) == (["done"] * 3, 3)
        assert len(server.asked) == 6

    def test_one_that_always_fails_is_given_up_and_the_request_ends(self, people: World, server: Endpoint) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server)
        request = ask(people, model, k=2)
        server.behave(says({"error": {"message": "out of memory"}}, status=500))
        work(model)
        request.refresh_from_db()
        assert (states(request), request.state) == (["failed"] * 2, RequestState.DONE)
        assert len(server.asked) == 2 * answering.MOST_TRIES
        row = WantedOutput.objects.earliest("id")
        assert (row.problem, row.detail) == (Problem.FAILED, "500 out of memory")
        assert not Item.objects.filter(kind=ItemKind.RANKING).exists()

    @pytest.mark.parametrize(
        ("how", "problem", "detail"),
        [
            (
                says({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status=401),
                Problem.KEY_REFUSED,
                "401",
            ),
            (says({"error": "no such model"}, status=404), Problem.NOT_THERE, "404 no such model"),
            (sends_elsewhere("http://169.254.169.254/"), Problem.SENDS_ELSEWHERE, "302"),
        ],
    )
    def test_what_is_hopeless_stops_the_model_until_somebody_has_changed_something(
        self, people: World, server: Endpoint, how: Any, problem: Problem, detail: str
    ) -> None:
        make_prompts(people, 2)
        model = answering_model(people, server)
        request = ask(people, model, k=2)
        server.behave(how)
        work(model)
        work(model)
        assert (len(server.asked), states(request)) == (1, ["waiting"] * 4)
        assert (model.stopped, model.problem, model.detail.startswith(detail)) == (True, problem, True)
        server.behave(answers)
        registering.look_again(model, by=people.ada)
        work(model)
        assert (states(request), model.problem, model.stopped) == (["done"] * 4, "", False)

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (completion(""), Problem.EMPTY),
            (completion("  \n "), Problem.EMPTY),
            (completion("x" * 16_001), Problem.TOO_LONG),
            ({"error": "content policy"}, Problem.REFUSED),
        ],
    )
    def test_an_answer_that_is_of_no_use_is_not_asked_for_again(
        self, people: World, server: Endpoint, content: Any, problem: Problem
    ) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server)
        request = ask(people, model, k=2)
        server.behave(says(content, status=400 if problem == Problem.REFUSED else 200))
        work(model)
        assert (states(request), len(server.asked)) == (["failed"] * 2, 2)
        assert set(WantedOutput.objects.values_list("problem", flat=True)) == {problem}

    @pytest.mark.parametrize(
        "content",
        [
            [], {}, None, 7, {"choices": []}, {"choices": {}}, {"choices": [None]}, {"choices": [{"message": []}]},
            completion(None), completion(["a"]), completion({"text": "a"}), completion(5), b"<html>Sign in</html>",
        ],
    )  # fmt: skip
    def test_what_is_no_answer_of_the_api_is_none(self, people: World, server: Endpoint, content: Any) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server)
        request = ask(people, model, k=2)
        server.behave(says(content))
        work(model)
        assert states(request) == ["failed"] * 2
        assert set(WantedOutput.objects.values_list("problem", flat=True)) == {Problem.NO_ANSWER}

    @pytest.mark.parametrize(
        ("text", "told"), [(f"My key is {KEY}.", {}), ("Fine.", {"id": f"call-{KEY}"}), ("Fine.", {"model": KEY})]
    )
    def test_an_answer_that_repeats_the_key_is_not_kept(
        self, people: World, server: Endpoint, text: str, told: dict[str, str]
    ) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server)
        ask(people, model, k=2)
        server.behave(says(completion(text, **told)))
        work(model)
        assert not Completion.objects.exists()

    def test_a_set_is_ranked_where_two_came_though_a_third_did_not(self, people: World, server: Endpoint) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server)
        request = ask(people, model, k=3)

        def refuses_one(handler: Handler) -> None:
            refused = handler.question.content["seed"] == 1
            handler.say({"error": "no"}, status=400) if refused else answers(handler)

        server.behave(refuses_one)
        work(model)
        assert sorted(states(request)) == ["done", "done", "failed"]
        [item] = Item.objects.filter(kind=ItemKind.RANKING)
        assert len(item.completions) == 2


def every_other_time() -> Any:
    calls = iter(range(1_000))
    return lambda handler: handler.say({}, status=503) if next(calls) % 2 == 0 else answers(handler)


class TestOnce:
    def test_an_answer_that_comes_twice_is_kept_once(self, people: World, server: Endpoint) -> None:
        """As after a worker that was taken for dead."""
        make_prompts(people, 1)
        model = answering_model(people, server)
        ask(people, model, k=2)
        wanted = WantedOutput.objects.select_related("generator").earliest("id")
        new = settling.NewCompletion(wanted.set.prompt_id, "Once.", {}, 1)
        assert [settling.keep(wanted, new), settling.keep(wanted, new)] == [True, False]
        assert Completion.objects.count() == 1

    def test_a_worker_that_dies_in_a_call_leaves_it_to_the_next(
        self, people: World, server: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server)
        request = ask(people, model, k=2)

        def dies(*args: Any, **named: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as death:
            death.setattr(settling, "keep", dies)
            with pytest.raises(KeyboardInterrupt):
                work(model)
        work(model)
        assert (states(request), Completion.objects.count(), len(server.asked)) == (["done"] * 2, 2, 3)

    def test_a_set_that_a_dead_worker_left_is_made_by_the_sweep(
        self, people: World, server: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_prompts(people, 1)
        model = answering_model(people, server)
        request = ask(people, model, k=2)
        with monkeypatch.context() as death:
            death.setattr(settling, "settle_set", lambda pk: None)
            work(model)
        assert not Item.objects.filter(kind=ItemKind.RANKING).exists()
        answering.sweep()
        answering.sweep()
        request.refresh_from_db()
        assert (Item.objects.filter(kind=ItemKind.RANKING).count(), request.state) == (1, RequestState.DONE)

    @pytest.mark.django_db(transaction=True)
    def test_many_workers_at_one_model_ask_each_question_once(self, people: World, server: Endpoint) -> None:
        make_prompts(people, 4)
        model = answering_model(people, server)
        request = ask(people, model, k=3)

        def worker(_number: int) -> None:
            try:
                answering.work(model.pk, seconds=60)
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as workers:
            list(workers.map(worker, range(4)))
        assert states(request) == ["done"] * 12
        assert (len(server.asked), Completion.objects.count()) == (12, 12)
        assert Item.objects.filter(kind=ItemKind.RANKING).count() == 4

    @pytest.mark.django_db(transaction=True)
    def test_the_last_two_answers_of_a_set_that_come_at_once_make_one_set(
        self, people: World, server: Endpoint
    ) -> None:
        make_prompts(people, 3)
        with endpoint() as other:
            models = [
                answering_model(people, server, name="one", model="one"),
                answering_model(people, other, name="two", model="two"),
            ]
            ask(people, *models, k=2)

            def worker(model: ExternalModel) -> None:
                try:
                    answering.work(model.pk, seconds=60)
                finally:
                    connection.close()

            with ThreadPoolExecutor(2) as workers:
                list(workers.map(worker, models))
        assert Item.objects.filter(kind=ItemKind.RANKING).count() == 3
        assert not WantedSet.objects.filter(settled_at=None).exists()
