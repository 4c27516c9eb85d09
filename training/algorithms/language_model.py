"""The step that pretraining, fine-tuning and PPO-ptx share: the mean loss of a batch over its completion tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.algorithms import data, distributed, packing, sharding
from training.algorithms.data import Batch, Row
from training.algorithms.hyperparameters import LanguageModelling
from training.algorithms.knobs import Computing
from training.algorithms.loop import train_in_epochs
from training.algorithms.losses import token_logprobs
from training.algorithms.networks import Policy
from training.algorithms.optimisation import arithmetic
from training.algorithms.packing import Packed
from training.algorithms.run_folder import Metrics, Run


def backward(
    policy: Policy, rows: Sequence[Row], *, settings: Computing, weight: float = 1.0, packed: bool = False
) -> float:
    """Add the gradient of weight × (mean -log p over all completion tokens of the rows); the mean.

    The rows run in parts of at most token_budget tokens; the mean is over all of them, so neither the parts nor packing
    show in it.
    """
    losses, count = list[Tensor](), sum(len(row.completion) for row in rows)
    batches = _batches(policy, distributed.share(rows), settings=settings, packed=packed)
    for batch in sharding.in_step(batches, idle=policy.idle):
        with arithmetic(settings.precision):
            loss = -token_logprobs(policy.logits(batch), batch.targets).sum() / count
        (weight * loss).backward()
        losses.append(loss.detach())
    return distributed.totals(sum(map(float, losses)))[0]


def _batches(policy: Policy, rows: Sequence[Row], *, settings: Computing, packed: bool) -> Iterator[Batch | Packed]:
    if not packed:
        for part in data.parts(rows, token_budget=settings.token_budget):
            yield policy.collate([rows[i] for i in part])
        return
    bins = packing.bins(rows, size=settings.max_length)
    for part in data.parts(bins, token_budget=settings.token_budget):
        yield packing.collate([bins[i] for i in part], pad=policy.pad, device=policy.device)


@torch.no_grad()
def mean_loss(policy: Policy, rows: Sequence[Row], *, settings: Computing) -> float:
    """Mean -log p over all completion tokens of the rows, without dropout."""
    was_training = policy.training
    policy.eval()
    total, count = 0.0, sum(len(row.completion) for row in rows)
    rows = distributed.share(rows)
    for part in sharding.in_step(data.parts(rows, token_budget=settings.token_budget), idle=policy.idle):
        batch = policy.collate([rows[i] for i in part])
        with arithmetic(settings.precision):
            total -= float(token_logprobs(policy.logits(batch), batch.targets).sum())
    policy.train(was_training)
    return distributed.totals(total)[0] / count


def fit(
    run: Run,
    policy: Policy,
    rows: Sequence[Row],
    *,
    settings: LanguageModelling,
    mixed_in: Sequence[Row] = (),
    mixed_share: float = 0.0,
    held_out: Sequence[Row] = (),
) -> Metrics:
    """Train on the rows; a share of each batch comes from `mixed_in`. The last metrics.

    Raises InputError where the rows are to be packed and the model would let one see another.
    """
    if settings.packing:
        packing.check(policy)
    policy.ready(settings)
    extra = math.ceil(settings.batch_size * mixed_share / (1 - mixed_share)) if mixed_in else 0
    extras = data.Order([row.length for row in mixed_in], batch_size=max(extra, 1), seed=settings.seed, group=False)

    def learn(step: int, numbers: list[int]) -> Metrics:
        batch = [rows[i] for i in numbers]
        if extra:
            batch += [mixed_in[i] for i in extras.batch(step)]
        loss = backward(policy, batch, settings=settings, packed=settings.packing)
        return {"loss": loss, "tokens": sum(row.length for row in batch)}

    def look() -> Metrics:
        return {"held_out/loss": mean_loss(policy, held_out, settings=settings)}

    return train_in_epochs(
        run, policy, rows, name="policy", settings=settings, backward=learn, evaluate=look if held_out else None
    )


def fitting(rows: list[Row], settings: Computing, *, what: str) -> list[Row]:
    """The rows of at most max_length tokens."""
    return data.within(rows, length=lambda row: row.length, limit=settings.max_length, what=what)


def mixed_in(path: str | None, policy: Policy, settings: Computing, *, weight: float, name: str) -> list[Row]:
    """The rows of pretraining texts; none, and a word about it, where the setting `name` gives them no weight."""
    if path and not weight:
        print(f"{name} is 0: the pretraining texts are not read.", flush=True)
        return []
    return read_texts(path, policy, settings)


def read_texts(path: str | None, policy: Policy, settings: Computing) -> list[Row]:
    return data.texts(Path(path), policy.encoder, max_length=settings.max_length) if path else []
