"""Twenty steps of pretraining and of fine-tuning have the losses of a plain loop: a row at a time, AdamW by its book.

The loop shares the tokenizer and the order of the rows with the code; batches, masks, loss, schedule and update it does
by itself.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from tests.algorithms.conftest import Stage, lines
from training.algorithms import data
from training.algorithms.data import Row
from training.algorithms.networks import Policy, load_policy
from training.algorithms.opening import pad_apart

STEPS, BATCH, RATE, WARMUP, DECAY, CLIP = 20, 4, 3e-3, 3, 0.1, 0.5
BETA1, BETA2, EPSILON = 0.9, 0.95, 1e-8
SETTINGS = [
    f"max_steps={STEPS}", "epochs=0", f"batch_size={BATCH}", f"learning_rate={RATE}", f"warmup_steps={WARMUP}",
    f"weight_decay={DECAY}", f"max_grad_norm={CLIP}", "token_budget=128", "seed=3",
]  # fmt: skip


def fine_tuning_rows(path: str, policy: Policy) -> list[Row]:
    """The answer is what is learnt, its end included."""
    encoder = policy.encoder
    read = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [Row(encoder.prompt(row["prompt"]), [*encoder.completion(row["completion"])]) for row in read]


def pretraining_rows(path: str, policy: Policy) -> list[Row]:
    """Every token of a text is learnt but its first (a seq2seq model: its second half); of a chat, the last answer."""
    encoder, rows = policy.encoder, []
    for line in Path(path).read_text().splitlines():
        row = json.loads(line)
        if "messages" in row:
            *before, answer = row["messages"]
            rows.append(Row(encoder.prompt(before), encoder.completion(answer["content"])))
        else:
            ids = encoder.text(row)
            seen = len(ids) // 2 if policy.seq2seq else 1
            rows.append(Row(ids[:seen], ids[seen:]))
    return rows


def plain_losses(policy: Policy, rows: list[Row]) -> list[float]:
    weights = [p for p in policy.parameters() if p.requires_grad]
    means, squares = ([torch.zeros_like(p) for p in weights] for _ in range(2))
    epoch_length = math.ceil(len(rows) / BATCH)
    losses = []
    for step in range(STEPS):
        epoch, place = divmod(step, epoch_length)
        order = data.epoch_batches([len(row.prompt) + len(row.completion) for row in rows],
                                   batch_size=BATCH, seed=3, epoch=epoch, group=True)  # fmt: skip
        batch = [rows[i] for i in order[place]]
        missed = sum(minus_logprob(policy, row) for row in batch)
        loss = missed / sum(len(row.completion) for row in batch)
        assert isinstance(loss, torch.Tensor)
        gradients = torch.autograd.grad(loss, weights)
        losses.append(loss.item())
        norm = math.sqrt(sum((g**2).sum().item() for g in gradients))
        done = (step - WARMUP) / (STEPS - WARMUP)
        rate = RATE * (0.1 + 0.9 * step / WARMUP if step < WARMUP else 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)
        with torch.no_grad():
            for p, g, m, v in zip(weights, gradients, means, squares, strict=True):
                g = g * min(1, CLIP / norm)
                m.copy_(BETA1 * m + (1 - BETA1) * g)
                v.copy_(BETA2 * v + (1 - BETA2) * g**2)
                step_by = (m / (1 - BETA1 ** (step + 1))) / ((v / (1 - BETA2 ** (step + 1))).sqrt() + EPSILON)
                p -= rate * (step_by + (DECAY * p if p.dim() > 1 else 0))
    return losses


def minus_logprob(policy: Policy, row: Row) -> torch.Tensor:
    if policy.seq2seq:
        read = torch.tensor([[policy.start, *row.completion[:-1]]], device=policy.model.device)
        logits = policy.model(input_ids=read.new_tensor([row.prompt]), decoder_input_ids=read).logits[0]
    else:
        ids = torch.tensor([[*row.prompt, *row.completion]], device=policy.model.device)
        logits = policy.model(input_ids=ids).logits[0, len(row.prompt) - 1 : -1]
    return -logits.log_softmax(-1)[range(len(row.completion)), row.completion].sum()


@pytest.mark.parametrize("name", ["pretrain", "sft"])
def test_twenty_steps_have_the_losses_of_a_plain_loop(
    stage: Stage, name: str, base: str, files: dict[str, str], tmp_path: Path
) -> None:
    given = {"pretrain": ("texts", pretraining_rows), "sft": ("demonstrations", fine_tuning_rows)}
    kind, read = given[name]
    assert stage(name, base=base, out=tmp_path, set=SETTINGS, **{kind: files[kind]}) == 0
    found = [line["loss"] for line in lines(tmp_path / "metrics.jsonl")]
    policy = load_policy(base).eval()
    pad_apart(policy.model, policy.tokenizer)
    wanted = plain_losses(policy, read(files[kind], policy))
    assert found == pytest.approx(wanted, rel=2e-3)
    assert found[0] == pytest.approx(wanted[0], rel=1e-5)
    assert min(found) < 0.8 * found[0]  # something was learnt, so the updates are in the comparison
