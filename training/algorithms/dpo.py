"""Direct preference optimisation (arXiv 2305.18290): a policy from rankings, with no reward model and no sampling.

The policy is its own reward model, β log π/π_ref. All pairs of a ranking are one element of the batch, as they are for
a reward model, and each completion runs once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.algorithms import adapters, data, distributed, losses, model_card, sharding
from training.algorithms.hyperparameters import DPO
from training.algorithms.loop import train_in_epochs
from training.algorithms.networks import Policy, load_policy, same_vocabulary, within_positions
from training.algorithms.opening import pad_apart
from training.algorithms.optimisation import arithmetic
from training.algorithms.rankings import Ranking, check_rankings, padded, pairs_right, read_rankings, together
from training.algorithms.run_folder import Metrics, Run


def logprobs_of(policy: Policy, rankings: Sequence[Ranking]) -> list[Tensor]:
    """log π of each ranking's whole completions, (K,) each: EOS included, the prompt not."""
    batch = policy.collate([row for ranking in rankings for row in ranking.rows])
    flat = losses.token_logprobs(policy.logits(batch), batch.targets)
    return list(batch.spread(flat).sum(1).split([len(ranking.rows) for ranking in rankings]))


@torch.no_grad()
def reference_of(policy: Policy, rankings: Sequence[Ranking], *, settings: DPO) -> list[Tensor]:
    """log π_ref of each ranking's completions, (K,) each, in the rankings' order."""
    policy.eval()
    found: dict[int, Tensor] = {}
    for part in _parts(rankings, settings):
        with arithmetic(settings.precision):
            found |= zip(part, logprobs_of(policy, [rankings[i] for i in part]), strict=True)
    return [found[i] for i in range(len(rankings))]


def losses_of(
    policy: Policy, rankings: Sequence[Ranking], reference: Sequence[Tensor], *, settings: DPO
) -> tuple[Tensor, Metrics]:
    """Each ranking's loss, (rankings,), and sums over the rankings of what their implicit rewards say."""
    with arithmetic(settings.precision):
        scored = logprobs_of(policy, rankings)
    each, sums = list[Tensor](), dict.fromkeys(("rewards/chosen", "rewards/rejected", "right", "pairs"), 0.0)
    for ranking, logprobs, ref_logprobs in zip(rankings, scored, reference, strict=True):
        ranks = torch.tensor(ranking.ranks, device=logprobs.device)
        rewards = losses.implicit_rewards(logprobs, ref_logprobs, beta=settings.beta)
        each.append(losses.ranking_loss(rewards, ranks, ties=settings.ties))
        rewards = rewards.detach()
        hits, compared = pairs_right(rewards, ranking.ranks)
        sums["right"] += hits
        sums["pairs"] += compared
        sums["rewards/chosen"] += float(rewards[ranks == ranks.min()].mean())
        sums["rewards/rejected"] += float(rewards[ranks == ranks.max()].mean())
    return torch.stack(each), sums


def learn(policy: Policy, rankings: Sequence[Ranking], reference: Sequence[Tensor], *, settings: DPO) -> Metrics:
    """The mean over the rankings, each weighing the same, of the loss and of what the implicit rewards say.

    Where gradients are on, that of the mean loss is added to the policy's.
    """
    totals = dict.fromkeys(("loss", "rewards/chosen", "rewards/rejected", "right", "pairs"), 0.0)
    mine, known = distributed.share(rankings), distributed.share(reference)
    for part in sharding.in_step(_parts(mine, settings), idle=policy.idle):
        each, sums = losses_of(policy, [mine[i] for i in part], [known[i] for i in part], settings=settings)
        if torch.is_grad_enabled():
            (each.sum() / len(rankings)).backward()
        sums["loss"] = float(each.detach().sum())
        totals = {name: total + sums[name] for name, total in totals.items()}
    totals = dict(zip(totals, distributed.totals(*totals.values()), strict=True))
    right, pairs = totals.pop("right"), totals.pop("pairs")
    return {name: total / len(rankings) for name, total in totals.items()} | {"accuracy": right / max(pairs, 1)}


def fit(
    run: Run,
    policy: Policy,
    rankings: Sequence[Ranking],
    *,
    reference: Policy,
    settings: DPO,
    held_out: Sequence[Ranking] = (),
) -> Metrics:
    """Train the policy on the rankings; the last metrics. The reference may be the policy as it begins."""
    if reference is not policy:
        reference.freeze()
    policy.ready(settings)
    known = reference_of(reference, rankings, settings=settings)
    known_held_out = reference_of(reference, held_out, settings=settings)
    policy.train(settings.dropout > 0)

    def learn_from(step: int, numbers: list[int]) -> Metrics:
        batch = [rankings[i] for i in numbers]
        metrics = learn(policy, batch, [known[i] for i in numbers], settings=settings)
        return metrics | {"tokens": sum(row.length for ranking in batch for row in ranking.rows)}

    @torch.no_grad()
    def look() -> Metrics:
        was_training = policy.training
        policy.eval()
        measured = learn(policy, held_out, known_held_out, settings=settings)
        policy.train(was_training)
        return {f"held_out/{name}": value for name, value in measured.items()}

    return train_in_epochs(
        run,
        policy,
        rankings,
        name="policy",
        settings=settings,
        backward=learn_from,
        evaluate=look if held_out else None,
    )


def dpo(
    run: Run,
    settings: DPO,
    *,
    policy: str,
    rankings: str,
    reference: str | None = None,
    held_out: str | None = None,
) -> Metrics:
    """Train the policy on the rankings and save it; its last figures."""
    check_rankings(rankings, held_out)
    learner = load_policy(policy, lora=settings)
    anchor = load_policy(reference, lora=settings) if reference else learner
    for model in (learner, anchor):
        pad_apart(model.model, model.tokenizer)
    if settings.lora_rank and reference:
        adapters.share_base(learner.model, anchor.model)
    same_vocabulary(learner, anchor, names=("The policy", "the reference"))
    settings = within_positions(settings, learner)
    rows = _fitting(rankings, learner, settings, what="rankings")
    looked_at = _fitting(held_out, learner, settings, what="held-out rankings") if held_out else []
    figures = fit(run, learner, rows, reference=anchor, settings=settings, held_out=looked_at)
    figures |= {"rows": len(rows)}
    parents = {"policy": policy, "reference": reference or policy}
    model_card.save(learner, run, stage="dpo", settings=settings, figures=figures, parents=parents)
    return figures


def _fitting(path: str, policy: Policy, settings: DPO, *, what: str) -> list[Ranking]:
    rankings = read_rankings(Path(path), policy.encoder)
    return data.within(rankings, length=lambda each: each.length, limit=settings.max_length, what=what)


def _parts(rankings: Sequence[Ranking], settings: DPO) -> list[list[int]]:
    """Numbers of rankings whose rows take at most token_budget padded tokens side by side, at least a ranking each."""
    return together([each.rows for each in rankings], places=padded, token_budget=settings.token_budget)
