"""One order, four places: what is clicked is what is stored, exported, and seen by the reward model's loss."""

from __future__ import annotations

import json
import math
from itertools import combinations, product

import pytest
import torch
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.algorithms.tiny import tokenizer
from training.algorithms.encoder import Encoder
from training.algorithms.losses import ranking_loss
from training.algorithms.rankings import read_rankings

REWARDS = {"red cat": 0.7, "blue dog": -0.4, "the bird sings": 1.9}
ORDERS = [ranks for ranks in product((1, 2, 3), repeat=3) if set(ranks) == set(range(1, max(ranks) + 1))]
ALL_TIED = dict.fromkeys(REWARDS, 1)
Ranks = dict[str, int]  # rank by text


def loss_by_hand(ranks: Ranks) -> float:
    """The mean of log(1 + e^-(better - worse)) over the pairs that are not tied."""
    pairs = [pair for pair in combinations(ranks, 2) if ranks[pair[0]] != ranks[pair[1]]]
    margins = [REWARDS[min(pair, key=ranks.__getitem__)] - REWARDS[max(pair, key=ranks.__getitem__)] for pair in pairs]
    return sum(math.log1p(math.exp(-margin)) for margin in margins) / len(margins)


@pytest.fixture
def page(browser: Browser, live_server: LiveServer) -> Page:
    return browser.new_page(base_url=live_server.url)


def rank_by_keyboard(page: Page, wanted: dict[str, Ranks]) -> None:
    from tests.browser.annotation.test_work import shown_texts, wait_until_ready

    wait_until_ready(page)
    ranks = wanted[page.locator(".prompt").inner_text().split("\n")[-1].strip()]
    for letter, text in zip("abc", shown_texts(page), strict=True):
        page.keyboard.press(letter)
        page.keyboard.press(str(ranks[text]))
    address = page.url
    page.keyboard.press("Control+Enter")
    expect(page).not_to_have_url(address)


def test_every_order_of_three_goes_from_the_keyboard_to_the_loss(transactional_db: None, page: Page) -> None:
    from annotation.adding import NewPrompt, add_prompts
    from annotation.exporting import ranking_rows
    from annotation.models import ItemKind, Pool, Ranking, Split
    from tests.browser.annotation.test_work import start
    from tests.world import PASSWORD, make_ranking_item, make_world
    from training.datasets import freeze

    assert len(ORDERS) == 13
    world = make_world()
    asked = [[{"role": "user", "content": f"Order {number}"}] for number in range(60)]
    prompts = add_prompts(world.project, [NewPrompt(messages, split=Split.TRAIN) for messages in asked])
    prompts = [prompt for prompt in prompts if prompt.pool == Pool.REWARD][: len(ORDERS)]
    wanted = {
        prompt.text: dict(zip(REWARDS, ranks, strict=True)) for prompt, ranks in zip(prompts, ORDERS, strict=True)
    }
    for prompt in prompts:
        make_ranking_item(world.project, prompt=prompt, texts=tuple(REWARDS))

    page.goto("/account/login/")
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    start(page, ItemKind.RANKING)
    for _order in ORDERS:
        rank_by_keyboard(page, wanted)

    texts = dict(Ranking.objects.values_list("prompt__completions__pk", "prompt__completions__text"))
    stored = Ranking.objects.select_related("prompt")
    assert {each.prompt.text: {texts[pk]: rank for pk, rank in each.ranks().items()} for each in stored} == wanted

    exported = ranking_rows(world.project)
    assert {row["prompt"]: {each["text"]: each["rank"] for each in row["completions"]} for row in exported} == wanted

    dataset = freeze(world.project, user=None, needed={})
    assert dataset.left_out["rankings"] == {"all outputs tied": 1}
    path, words = dataset.folder / "rankings.jsonl", tokenizer("llama")
    frozen = [json.loads(line)["prompt"] for line in path.read_text().splitlines()]
    assert sorted(frozen) == sorted(prompt for prompt, ranks in wanted.items() if ranks != ALL_TIED)
    for prompt, seen in zip(frozen, read_rankings(path, Encoder(words, seq2seq=False)), strict=True):
        outputs = [words.decode(row.completion, skip_special_tokens=True).strip() for row in seen.rows]
        assert dict(zip(outputs, seen.ranks, strict=True)) == wanted[prompt]
        rewards = torch.tensor([REWARDS[text] for text in outputs])
        loss = ranking_loss(rewards, torch.tensor(seen.ranks))
        assert float(loss) == pytest.approx(loss_by_hand(wanted[prompt]), abs=1e-6)
