"""Each formula against numbers worked out by hand and against a version so plain that it cannot be wrong."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.algorithms import losses

small = st.floats(-3, 3, allow_nan=False)
ranked = st.lists(st.tuples(small, st.integers(1, 4)), min_size=2, max_size=9)
episodes = st.lists(st.lists(st.tuples(small, small), min_size=1, max_size=6), min_size=1, max_size=4)


def padded(rows: list[list[float]]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    values = torch.tensor([[*row, *[99.0] * (longest - len(row))] for row in rows], dtype=torch.float64)
    return values, torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in rows])


def plain_ranking_loss(rewards: list[float], ranks: list[int], *, ties: str) -> float:
    each = []
    for i, j in combinations(range(len(ranks)), 2):
        win = -math.log(1 / (1 + math.exp(-(rewards[i] - rewards[j]))))
        defeat = -math.log(1 / (1 + math.exp(-(rewards[j] - rewards[i]))))
        if ranks[i] == ranks[j]:
            each += [(win + defeat) / 2] if ties == "half" else []
        else:
            each.append(win if ranks[i] < ranks[j] else defeat)
    return sum(each) / len(each) if each else 0.0


def test_a_ranking_of_two_costs_minus_log_sigmoid_of_the_margin() -> None:
    loss = losses.ranking_loss(torch.tensor([2.0, 0.5]), torch.tensor([1.0, 2.0]))
    assert loss.item() == pytest.approx(0.2014133, abs=1e-6)  # log(1 + e^-1.5)


def test_the_lower_rank_is_the_better_one() -> None:
    rewards = torch.tensor([1.0, -1.0])
    assert losses.ranking_loss(rewards, torch.tensor([1, 2])) < losses.ranking_loss(rewards, torch.tensor([2, 1]))


def test_all_pairs_of_three_are_averaged() -> None:
    loss = losses.ranking_loss(torch.tensor([1.0, 0.0, -1.0]), torch.tensor([1, 2, 3]))
    assert loss.item() == pytest.approx((2 * 0.3132617 + 0.1269280) / 3, abs=1e-6)


def test_a_tie_gives_no_comparison() -> None:
    rewards = torch.tensor([3.0, 1.0, 0.0], requires_grad=True)
    loss = losses.ranking_loss(rewards, torch.tensor([1, 1, 1]))
    loss.backward()
    assert loss == 0
    assert torch.equal(rewards.grad, torch.zeros(3))


def test_half_a_point_for_a_tie_costs_least_where_the_scores_agree() -> None:
    even = losses.ranking_loss(torch.tensor([1.0, 1.0]), torch.tensor([1, 1]), ties="half")
    apart = losses.ranking_loss(torch.tensor([1.0, 2.0]), torch.tensor([1, 1]), ties="half")
    assert even.item() == pytest.approx(math.log(2))
    assert apart > even


@given(ranked, st.sampled_from(["drop", "half"]))
def test_the_ranking_loss_equals_the_plain_one(pairs: list[tuple[float, int]], ties: str) -> None:
    rewards, ranks = [r for r, _ in pairs], [k for _, k in pairs]
    found = losses.ranking_loss(torch.tensor(rewards, dtype=torch.float64), torch.tensor(ranks), ties=ties)
    assert found.item() == pytest.approx(plain_ranking_loss(rewards, ranks, ties=ties), abs=1e-9)


@given(ranked, small)
def test_the_ranking_loss_does_not_see_a_shift_of_all_rewards(pairs: list[tuple[float, int]], shift: float) -> None:
    rewards, ranks = torch.tensor([r for r, _ in pairs], dtype=torch.float64), torch.tensor([k for _, k in pairs])
    assert losses.ranking_loss(rewards + shift, ranks).item() == pytest.approx(
        losses.ranking_loss(rewards, ranks).item(), abs=1e-9
    )


@given(episodes, st.sampled_from([1.0, 0.9]), st.sampled_from([1.0, 0.95, 0.0]))
def test_advantages_equal_the_sum_of_discounted_errors(
    rows: list[list[tuple[float, float]]], gamma: float, lam: float
) -> None:
    rewards, mask = padded([[r for r, _ in row] for row in rows])
    values, _ = padded([[v for _, v in row] for row in rows])
    advantages, returns = losses.gae(rewards.masked_fill(~mask, 0), values, mask, gamma=gamma, lam=lam)
    for b, row in enumerate(rows):
        after = [v for _, v in row[1:]] + [0.0]
        errors = [r + gamma * nxt - v for (r, v), nxt in zip(row, after, strict=True)]
        for t in range(len(row)):
            wanted = sum((gamma * lam) ** (k - t) * errors[k] for k in range(t, len(row)))
            assert advantages[b, t].item() == pytest.approx(wanted, abs=1e-9)
            assert returns[b, t].item() == pytest.approx(wanted + row[t][1], abs=1e-9)
        assert not advantages[b, len(row) :].any()
        assert not returns[b, len(row) :].any()


def test_with_lambda_one_the_return_is_what_was_still_to_come() -> None:
    rewards, mask = padded([[1.0, 2.0, 4.0]])
    _, returns = losses.gae(rewards, torch.zeros(1, 3, dtype=torch.float64), mask, gamma=1.0, lam=1.0)
    assert returns.tolist() == [[7.0, 6.0, 4.0]]


def test_the_score_falls_on_the_last_token_and_the_penalty_on_each() -> None:
    logprobs, mask = padded([[-1.0, -2.0], [-1.0]])
    reference, _ = padded([[-1.5, -1.0], [-3.0]])
    rewards = losses.shaped_rewards(logprobs, reference, torch.tensor([10.0, 20.0]), mask, kl_coef=0.1)
    assert rewards.flatten().tolist() == pytest.approx([-0.05, 10.1, 19.8, 0.0])


def test_the_policy_loss_by_hand() -> None:
    old = torch.zeros(4)
    new = torch.tensor([0.5, -0.5, 0.5, -0.5])
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    found = losses.policy_loss(new, old, advantages, cliprange=0.2)
    assert found.tolist() == pytest.approx([-1.2, -math.exp(-0.5), math.exp(0.5), 0.8])


def test_a_ratio_beyond_the_clip_range_in_the_good_direction_gives_no_gradient() -> None:
    new = torch.tensor([0.5, -0.5], requires_grad=True)
    losses.policy_loss(new, torch.zeros(2), torch.tensor([1.0, -1.0]), cliprange=0.2).sum().backward()
    assert new.grad.tolist() == [0, 0]


def test_the_value_loss_by_hand() -> None:
    found = losses.value_loss(torch.tensor([1.0, 0.1]), torch.zeros(2), torch.ones(2), cliprange_value=0.2)
    assert found.tolist() == pytest.approx([0.5 * 0.8**2, 0.5 * 0.9**2])
    assert losses.value_loss(torch.ones(1), torch.zeros(1), torch.ones(1), cliprange_value=0).item() == 0


@given(episodes)
def test_whitening_looks_at_the_mask_alone(rows: list[list[tuple[float, float]]]) -> None:
    values, mask = padded([[r for r, _ in row] for row in rows])
    inside = torch.tensor([r for row in rows for r, _ in row], dtype=torch.float64)
    whitened = losses.masked_whiten(values, mask)
    spread = (inside - inside.mean()) / (inside.var(correction=0) + 1e-8).sqrt()
    assert torch.allclose(whitened[mask], spread, atol=1e-6)
    assert not whitened[~mask].any()
    kept = losses.masked_whiten(values, mask, shift_mean=False)
    assert torch.allclose(kept[mask], spread + inside.mean(), atol=1e-6)


@given(st.lists(st.tuples(small, small), min_size=1, max_size=8))
def test_k3_is_never_negative_and_nothing_where_the_policies_agree(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = torch.tensor(pairs, dtype=torch.float64).T
    assert (losses.k3(ours, theirs) >= -1e-12).all()
    assert not losses.k3(ours, ours).any()


def test_k1_and_k3_both_estimate_the_divergence() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.3, 0.5]).double()
    wanted = (p * (p / q).log()).sum().item()
    assert (p * losses.k1(p.log(), q.log())).sum().item() == pytest.approx(wanted)
    assert (p * losses.k3(p.log(), q.log())).sum().item() == pytest.approx(wanted)


def test_token_logprobs_and_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])
    assert losses.token_logprobs(logits, torch.tensor([1, 0])).tolist() == pytest.approx(
        [math.log(0.75), math.log(0.5)]
    )
    _, entropy = losses.logprobs_and_entropy(logits, torch.tensor([1, 0]))
    assert entropy.tolist() == pytest.approx([0.5623351, math.log(2)])


def test_one_pass_gives_logprobs_and_entropy_whatever_part_it_takes_at_once() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(7, 11, generator=generator), torch.randint(11, (7,), generator=generator)
    for rows in (3, 256):
        logprobs, entropy = losses.logprobs_and_entropy(logits, targets, rows=rows)
        assert torch.equal(logprobs, losses.token_logprobs(logits, targets))  # updates start from a ratio of 1
        assert torch.allclose(entropy, torch.distributions.Categorical(logits=logits).entropy())


def test_explained_variance_is_one_for_perfect_values_and_zero_for_a_constant() -> None:
    returns = torch.tensor([1.0, 2.0, 4.0])
    assert losses.explained_variance(returns, returns).item() == pytest.approx(1)
    assert losses.explained_variance(torch.full((3,), 2.0), returns).item() == pytest.approx(0, abs=1e-6)


def test_a_fixed_kl_coefficient_stays() -> None:
    controller = losses.KLController(0.1)
    controller.update(50.0, episodes=64)
    assert controller.coef == 0.1


@given(st.floats(0, 100))
def test_an_adaptive_kl_coefficient_moves_towards_its_target_by_little(kl: float) -> None:
    controller = losses.KLController(0.1, target=6.0, horizon=1000)
    controller.update(kl, episodes=100)
    assert (controller.coef > 0.1) == (kl > 6.0)
    assert 0.0979 < controller.coef < 0.1021
