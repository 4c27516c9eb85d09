"""The mathematics, as pure functions on tensors: each says its shapes and where it comes from.

B rows, R completion tokens a row (padded), N completion tokens in all (not padded), V tokens in the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def token_logprobs(logits: Tensor, targets: Tensor) -> Tensor:
    """log p of each target. logits: (N, V), targets: (N,) → (N,), in fp32 whatever the logits are."""
    return -F.cross_entropy(logits.float(), targets, reduction="none")


@torch.no_grad()
def logprobs_and_entropy(logits: Tensor, targets: Tensor, *, rows: int = 256) -> tuple[Tensor, Tensor]:
    """`token_logprobs`, and the entropy in nats of each distribution. logits: (N, V), targets: (N,) → (N,) and (N,).

    From one pass, `rows` at a time: all of them in fp32 would leave the processor's cache. Without gradients.
    """
    found, undecided = [], []
    for some, wanted in zip(logits.split(rows), targets.split(rows), strict=True):
        logprobs = F.log_softmax(some.float(), dim=-1)
        found.append(logprobs.gather(1, wanted[:, None])[:, 0])
        undecided.append(-torch.linalg.vecdot(logprobs.exp(), logprobs))
    return torch.cat(found), torch.cat(undecided)


def ranking_loss(rewards: Tensor, ranks: Tensor, *, ties: str = "drop") -> Tensor:
    """Mean of -log σ(r_better - r_worse) over the pairs of one ranking (InstructGPT eq. 1, its 1 / C(K, 2) included).

    rewards, ranks: (K,), a lower rank is better. Pairs of equal rank are left out ("drop", as in the paper) or count
    half a win for either side ("half"). Where no pair is left the loss is 0, with gradients of 0.
    """
    first, second = torch.triu_indices(len(ranks), len(ranks), offset=1, device=rewards.device)
    margin = rewards[first] - rewards[second]  # (pairs,)
    target = 0.5 + 0.5 * torch.sign(ranks[second] - ranks[first]).to(margin.dtype)  # 1: the first is better
    losses = F.binary_cross_entropy_with_logits(margin, target, reduction="none")
    if ties == "drop":
        losses = losses[target != 0.5]
    return losses.sum() / max(losses.numel(), 1)


def implicit_rewards(logprobs: Tensor, ref_logprobs: Tensor, *, beta: float) -> Tensor:
    """β log π/π_ref: what the reward must be for π to be the best policy under a KL penalty of β, up to a constant of
    the prompt (arXiv 2305.18290, eq. 5). Put into `ranking_loss` it gives DPO's loss (its eq. 7, for K completions).

    logprobs, ref_logprobs: sums over whole completions, (K,) → (K,).
    """
    return beta * (logprobs - ref_logprobs)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the places where mask is True. values, mask: any equal shape."""
    return torch.where(mask, values, 0).sum() / mask.sum()


def masked_whiten(values: Tensor, mask: Tensor, *, shift_mean: bool = True) -> Tensor:
    """Unit variance over the mask alone, and mean 0 if shift_mean; 0 outside. values, mask: (B, R) → (B, R)."""
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask)
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    return torch.where(mask, whitened if shift_mean else whitened + mean, 0)


def shaped_rewards(logprobs: Tensor, ref_logprobs: Tensor, scores: Tensor, mask: Tensor, *, kl_coef: float) -> Tensor:
    """-kl_coef · (log π - log π_ref) at every token, and the score at the last one (InstructGPT eq. 2, per token).

    logprobs, ref_logprobs, mask: (B, R), scores: (B,) → (B, R). The penalty is the KL's k1 estimate: unbiased here.
    """
    rewards = torch.where(mask, -kl_coef * (logprobs - ref_logprobs), 0)
    last = mask.sum(1, keepdim=True) - 1  # (B, 1)
    return rewards.scatter_add(1, last, scores[:, None].to(rewards.dtype))


def gae(rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates and returns (arXiv 1506.02438, eq. 16), 0 outside the mask.

    rewards, values, mask: (B, R) → (B, R) twice. A row's tokens are its first places; after the last comes nothing.
    """
    values = torch.where(mask, values, 0)
    advantages = torch.zeros_like(values)
    running = torch.zeros_like(values[:, 0])
    following = torch.zeros_like(running)
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * following - values[:, t]
        running = torch.where(mask[:, t], delta + gamma * lam * running, 0)
        advantages[:, t] = running
        following = values[:, t]
    return advantages, advantages + values


def policy_loss(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, *, cliprange: float) -> Tensor:
    """PPO's clipped objective for each token, to be minimised (arXiv 1707.06347, eq. 7). All (N,) → (N,)."""
    ratio = (logprobs - old_logprobs).exp()
    clipped = ratio.clamp(1 - cliprange, 1 + cliprange)
    return torch.maximum(-advantages * ratio, -advantages * clipped)


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, *, cliprange_value: float) -> Tensor:
    """Half the squared error of each token, the value kept to the old ± cliprange_value (0: free). All (N,) → (N,)."""
    plain = (values - returns) ** 2
    if not cliprange_value:
        return 0.5 * plain
    clipped = old_values + (values - old_values).clamp(-cliprange_value, cliprange_value)
    return 0.5 * torch.maximum(plain, (clipped - returns) ** 2)


def k1(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """log π - log π_ref on samples of π: unbiased, can be negative. Any equal shape."""
    return logprobs - ref_logprobs


def k3(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """(π_ref/π - 1) - log(π_ref/π): unbiased, never negative, less spread (Schulman, Approximating KL divergence)."""
    log_ratio = ref_logprobs - logprobs
    return log_ratio.expm1() - log_ratio


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns): 1 is perfect, 0 no better than a constant. Both (N,) → ()."""
    variance = returns.var(correction=0)
    return 1 - (returns - values).var(correction=0) / (variance + 1e-8)


@dataclass
class KLController:
    """The weight of the KL penalty: fixed, or steered towards a target KL an episode (arXiv 1909.08593, 2.2)."""

    coef: float
    target: float = 0.0
    horizon: int = 10_000

    def update(self, kl: float, *, episodes: int) -> None:
        """Move `coef` by at most a fifth an horizon, after `episodes` with a mean KL of `kl`."""
        if self.target:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.coef *= 1 + error * episodes / self.horizon
