"""Completions that share their prompt's run get what they get alone: scores, loss, gradients."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from transformers import MistralConfig, MistralForSequenceClassification
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.t5.modeling_t5 import T5LayerNorm

from tests.algorithms import tiny
from training.algorithms.data import Row
from training.algorithms.hyperparameters import Reward
from training.algorithms.losses import ranking_loss
from training.algorithms.networks import Scorer, new_reward_model
from training.algorithms.presets import resolve
from training.algorithms.rankings import Ranking, together
from training.algorithms.reward_model import backward, measure, rewards_of


def ragged(seed: int, *, sizes: Sequence[int] = range(2, 10)) -> list[Ranking]:
    """A ranking of each of the sizes, ties among its ranks, its prompts and completions of all lengths."""
    chance = random.Random(seed)

    def ids(longest: int) -> list[int]:
        return [chance.randrange(5, 280) for _ in range(chance.randint(1, longest))]

    return [
        Ranking([Row(prompt, ids(24)) for _ in range(size)], [float(chance.randint(1, size)) for _ in range(size)])
        for size in sizes
        for prompt in [ids(14)]
    ]


def settings(**values: object) -> Reward:
    chosen = resolve("reward_model", preset="test", values=values)
    assert isinstance(chosen, Reward)
    return chosen


@pytest.fixture
def scorer(base: str) -> Scorer:
    made = new_reward_model(base, seed=0)
    made.ready(settings())
    return made


def in_double(model: Scorer) -> Scorer:
    """The model in float64 throughout: the norms of two families would turn to fp32 for a moment."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, LlamaRMSNorm | T5LayerNorm):
                norm = nn.RMSNorm(child.weight.shape[0], eps=child.variance_epsilon)
                norm.weight = child.weight
                setattr(module, name, norm)
    return model.double()


def gradients(model: Scorer) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def plainly(model: Scorer, rankings: Sequence[Ranking]) -> tuple[float, Tensor]:
    """Loss and gradients with every row run by itself, its prompt each time."""
    model.zero_grad()
    losses = [
        ranking_loss(
            torch.cat([model.rewards(model.collate([row])) for row in ranking.rows]),
            torch.tensor(ranking.ranks, device=model.model.device),
        )
        for ranking in rankings
    ]
    loss = torch.stack(losses).mean()
    loss.backward()
    return float(loss.detach()), gradients(model)


@pytest.mark.parametrize("budget", [2048, 180])  # all rankings in one part, and in several
@pytest.mark.parametrize(("double", "tolerance"), [(True, 1e-9), (False, 1e-4)])
def test_loss_and_gradients_are_those_of_the_rows_one_by_one(
    scorer: Scorer, budget: int, tolerance: float, *, double: bool
) -> None:
    model = in_double(scorer) if double else scorer
    assert model.packs is not model.seq2seq  # what follows is about packed rows, and not about the plain way
    rankings = ragged(budget)
    chosen = dataclasses.replace(settings(), token_budget=budget, max_length=min(budget, 128))
    assert (len(together([each.rows for each in rankings], places=model.places, token_budget=budget)) > 1) is (
        budget == 180
    )
    loss, wanted = plainly(model, rankings)
    model.zero_grad()
    assert backward(model, rankings, settings=chosen)["loss"] == pytest.approx(loss, rel=tolerance)
    assert float((gradients(model) - wanted).norm() / wanted.norm()) < tolerance
    assert measure(model, rankings, settings=chosen)["loss"] == pytest.approx(loss, rel=tolerance)


def test_a_prompt_is_run_once(scorer: Scorer) -> None:
    rankings = ragged(1, sizes=(3, 9))
    read = list[int]()
    for module in scorer.modules():
        if isinstance(module, nn.Embedding) and module.num_embeddings == scorer.config.vocab_size:
            module.register_forward_hook(lambda _module, given, _out: read.append(given[0].numel()))
    scorer.rewards_by_prompt([ranking.rows for ranking in rankings])
    tokens = [(len(each.rows[0].prompt), [len(row.completion) for row in each.rows]) for each in rankings]
    if scorer.seq2seq:
        decoded = 1 + max(max(sizes) for _, sizes in tokens)  # the decoder's start before each
        assert read == [2 * max(prompt for prompt, _ in tokens), 12 * decoded]
    else:
        assert read == [sum(prompt + sum(sizes) for prompt, sizes in tokens)]
    assert sum(read) == scorer.places([ranking.rows for ranking in rankings])


def test_rewards_come_in_the_order_of_the_rows(scorer: Scorer) -> None:
    rows = [row for ranking in ragged(2, sizes=(1, 5, 1, 9)) for row in ranking.rows]
    rows = [*rows[:4], *rows]  # one prompt's completions twice, apart
    alone = [float(scorer.rewards(scorer.collate([row])).detach()) for row in rows]
    for budget in (2048, 60):
        chosen = dataclasses.replace(settings(), token_budget=budget, max_length=60)
        assert rewards_of(scorer, rows, settings=chosen) == pytest.approx(alone, abs=1e-4)


def test_a_group_is_never_taken_apart_and_parts_keep_to_the_budget(scorer: Scorer) -> None:
    groups = [ranking.rows for ranking in ragged(3)]
    found = together(groups, places=scorer.places, token_budget=260)
    assert sorted(i for part in found for i in part) == list(range(len(groups)))
    assert len(found) > 1
    assert all(scorer.places([groups[i] for i in part]) <= 260 for part in found if len(part) > 1)


def test_a_model_that_looks_back_a_few_tokens_is_packed_only_within_them() -> None:
    torch.manual_seed(0)
    words = tiny.tokenizer("llama")
    config = MistralConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, sliding_window=10, num_labels=1, pad_token_id=0, initializer_range=0.2,
    )  # fmt: skip
    scorer = Scorer(MistralForSequenceClassification(config), words).freeze()
    assert scorer.packs
    for longest in (10, 24):
        rows = [Row([9, 8, 7], list(range(20, 17 + length))) for length in (6, longest)]
        alone = torch.cat([scorer.rewards(scorer.collate([row])) for row in rows])
        assert torch.allclose(scorer.rewards_by_prompt([rows]), alone, atol=1e-5)


def test_a_model_that_takes_no_packed_row_is_run_plainly(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever drops what it does not know would see the whole row; the look at load finds that out."""
    scorer = new_reward_model(base, seed=0)
    forward = type(scorer.model.base_model).forward

    def forgetful(self: nn.Module, *arguments: object, **options: object) -> object:
        options.pop("layout", None)
        return forward(self, *arguments, **options)

    monkeypatch.setattr(type(scorer.model.base_model), "forward", forgetful)
    scorer = new_reward_model(base, seed=0)
    assert not scorer.packs
    groups = [ranking.rows for ranking in ragged(4, sizes=(4, 2))]
    wanted = torch.cat([scorer.rewards(scorer.collate([row])) for group in groups for row in group])
    assert torch.allclose(scorer.rewards_by_prompt(groups), wanted, atol=1e-4)
