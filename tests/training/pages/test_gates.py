"""The gate on a round's page: what a researcher sees before all judgements are in, and after."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client

from tests.training.pages.scene import GATE_RESULT, Scene
from training.evaluation import table
from training.models import GateDecision, Policy, Round


def said(client: Client, address: str) -> str:
    """The page's text, without its marks."""
    response = client.get(address)
    assert response.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def decided(scene: Scene, state: str = "rejected", outcome: str = "not_passed", **result: Any) -> Round:
    return scene.round_at_its_gate(state=state, outcome=outcome, judgements=200, result=GATE_RESULT | result)


def test_before_all_are_in_it_tells_how_many_and_no_win_rate(scene: Scene, rosa: Client) -> None:
    scene.round_at_its_gate()
    page = said(rosa, scene.address("rounds/1"))
    assert "at the gate" in page
    assert "0 of 4 judgements are in." in page
    assert "Until then nobody sees a win rate." in page
    assert "Win rate at equal length" not in page
    assert "Cancel the round" in page
    assert "Publish it" in page
    assert "Do not publish it" in page
    assert 'hx-trigger="every 10s"' in rosa.get(scene.address("rounds/1")).content.decode()


def test_after_that_it_tells_the_win_rate_in_words_a_stranger_understands(scene: Scene, rosa: Client) -> None:
    decided(scene)
    page = said(rosa, scene.address("rounds/1"))
    assert "In 62% of 200 pairs people preferred the new policy's output, a tie counting half." in page
    assert "it lies between 56% and 69%: an interval made so holds the true share 19 times of 20." in page
    assert "Not both intervals lie above the bar of 50%" in page
    assert "0.625 [0.561, 0.688]" in page
    assert "0.59 [0.52, 0.66]" in page
    assert "110, 30, 60" in page
    assert "For 12 of them nobody had to be asked" in page
    assert "Publish it all the same, because" in page
    assert "Do not publish it" not in page


def test_once_all_are_in_it_waits_for_nobody(scene: Scene, rosa: Client) -> None:
    scene.round_at_its_gate(judgements=0)
    page = rosa.get(scene.address("rounds/1")).content.decode()
    assert "All judgements are in; they are about to be looked at." in page
    assert "It waits for people who rank." not in page


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ("too_few", "Fewer judgements came in than were asked for"),
        ("overtaken", "Another policy has become the current one meanwhile"),
        ("", "closed before all judgements were in, so no win rate is told"),
    ],
)
def test_each_end_says_why(scene: Scene, rosa: Client, outcome: str, sentence: str) -> None:
    decided(scene, outcome=outcome)
    assert sentence in said(rosa, scene.address("rounds/1"))


def test_a_decision_moves_it_on_and_its_reason_stays_to_be_read(scene: Scene, rosa: Client) -> None:
    decided(scene)
    reason = "<b>Better</b> by what we need."
    answer = rosa.post(scene.address("rounds/1/decide"), {"verdict": "publish", "reason": reason})
    assert answer["Location"] == scene.address("rounds/1")
    assert Round.objects.get().stage == "sample"
    assert Policy.objects.get(name="round-1-ppo").published_at is not None
    page = rosa.get(scene.address("rounds/1")).content.decode()
    assert "&lt;b&gt;Better&lt;/b&gt; by what we need." in page
    assert "rosa decided on" in page


def test_without_a_reason_nothing_is_decided(scene: Scene, rosa: Client) -> None:
    scene.round_at_its_gate()
    answer = rosa.post(scene.address("rounds/1/decide"), {"verdict": "reject", "reason": " "}, follow=True)
    assert "Say why: the reason is kept with the round." in answer.content.decode()
    assert Round.objects.get().state == "gate"
    assert not GateDecision.objects.exists()


def test_one_may_go_back_to_the_policy_before_from_there(scene: Scene, rosa: Client) -> None:
    Policy.objects.filter(pk=scene.base.pk).update(published_at="2026-01-01T00:00Z")
    round = decided(scene, state="published", outcome="passed")
    Policy.objects.filter(pk=round.policy_id).update(published_at="2026-01-02T00:00Z")
    page = said(rosa, scene.address("rounds/1"))
    assert "so that it was published" in page
    assert "Go back to starter" in page
    rosa.post(f"/policies/{scene.base.pk}/put-back/")
    assert "Go back to starter" not in said(rosa, scene.address("rounds/1"))


def test_the_form_begins_with_the_bar_of_the_last_round_that_had_a_gate(scene: Scene, rosa: Client) -> None:
    scene.make_ready()
    assert "published at once" in said(rosa, scene.address("rounds"))
    round = decided(scene)
    Round.objects.filter(pk=round.pk).update(options=round.options | {"gate_judgements": 60, "gate_bar": 0.52})
    form = rosa.get(scene.address("rounds")).context["form"]
    assert [form[name].value() for name in ("publish", "gate_judgements", "gate_bar")] == ["gate", 60, 0.52]
    assert "published if it passes the gate" in said(rosa, scene.address("rounds"))


def test_a_round_with_a_gate_is_started_from_the_form(scene: Scene, rosa: Client) -> None:
    scene.make_ready()
    chosen = {"publish": "gate", "gate_judgements": "50", "gate_bar": "0.55"}
    refused = rosa.post(scene.address("rounds"), chosen)
    assert "A gate asks about prompts that are held out: 0 found, at least 5 needed." in refused.content.decode()
    for number in range(5):
        scene.hold_out(f"What is held out, for the {number}th time?")
    rosa.post(scene.address("rounds"), chosen)
    options = Round.objects.get().options
    assert (options["publish"], options["gate_judgements"], options["gate_bar"]) == ("gate", 50, 0.55)


def test_the_tables_of_rounds_and_models_show_the_win_rate(scene: Scene, rosa: Client) -> None:
    round = decided(scene)
    figures = {"win_rate": 0.625, "intervals": {"win_rate": GATE_RESULT["win_rate"]}}
    Policy.objects.filter(pk=round.policy_id).update(figures=figures)
    assert "0.625 [0.561, 0.688]" in said(rosa, scene.address("rounds"))
    assert "0.625 [0.561, 0.688]" in said(rosa, scene.address("models"))
    assert "Win rate 0.625" in said(rosa, f"/policies/{round.policy_id}/")
    line = next(each for each in table.lines(scene.project) if each.model.pk == round.policy_id)
    assert line.cells["win_rate"] == table.Cell(0.625, 0.561, 0.688)
    report = said(rosa, scene.address("models") + f"report.html?model=policy-{round.policy_id}")
    assert "0.625 [0.561, 0.688]" in report
