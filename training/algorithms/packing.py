"""Several rows in one line of a batch, each as if it were alone: a mask of blocks, and positions that begin anew.

For language modelling with causal models. It saves padding; length grouping saves nearly as much and keeps attention
cheap, so packing is off unless asked for. F bins of T tokens, N completion tokens in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from training.algorithms.data import Row, pad_right
from training.algorithms.errors import InputError

if TYPE_CHECKING:
    from training.algorithms.networks import Policy


class Bin(NamedTuple):
    """Rows that share a line of the batch."""

    rows: list[Row]

    @property
    def length(self) -> int:
        return sum(row.length for row in self.rows)


class Packed(NamedTuple):
    """A `data.Batch` as far as language modelling needs it. predicts: (F, T), targets: (N,), bin by bin."""

    inputs: dict[str, Any]
    predicts: Tensor
    targets: Tensor


def bins(rows: Sequence[Row], *, size: int) -> list[Bin]:
    """The rows in bins of at most `size` tokens: the longest first, each into the fullest bin that has room for it."""
    found = list[Bin]()
    for row in sorted(rows, key=lambda each: each.length, reverse=True):
        roomy = [each for each in found if each.length + row.length <= size]
        if roomy:
            max(roomy, key=lambda each: each.length).rows.append(row)
        else:
            found.append(Bin([row]))
    return found


def collate(packed: Sequence[Bin], *, pad: int, device: torch.device) -> Packed:
    """Bins side by side for a causal model, padded on the right."""
    ids = pad_right([[token for row in each.rows for token in (*row.prompt, *row.completion)] for each in packed], pad)
    positions, numbers, predicts = (
        torch.zeros_like(ids),
        torch.zeros_like(ids),
        torch.zeros(ids.shape, dtype=torch.bool),
    )
    for line, each in enumerate(packed):
        start = 0
        for number, row in enumerate(each.rows, start=1):
            end = start + row.length
            positions[line, start:end] = torch.arange(row.length)
            numbers[line, start:end] = number  # padding keeps 0: it sees other padding alone
            predicts[line, start + len(row.prompt) - 1 : end - 1] = True
            start = end
    same_row = numbers[:, :, None] == numbers[:, None]  # (F, T, T)
    mask = (same_row & torch.ones_like(same_row[0]).tril())[:, None]
    inputs = {"input_ids": ids, "position_ids": positions, "attention_mask": mask}
    return Packed(
        inputs={name: tensor.to(device) for name, tensor in inputs.items()},
        predicts=predicts.to(device),
        targets=torch.tensor([i for each in packed for row in each.rows for i in row.completion], device=device),
    )


@torch.no_grad()
def check(policy: Policy) -> None:
    """Raises InputError unless the model gives packed rows the numbers that it gives them alone."""
    if policy.seq2seq:
        raise InputError(
            f"packing is true and the model, a {policy.config.model_type}, is sequence-to-sequence: its rows are not "
            "packed. Set packing to false; rows of like length are put into one batch all the same (group_by_length)."
        )
    tokens = [token for token in range(policy.config.vocab_size) if token != policy.pad][:8]
    rows = [Row(tokens[:2], tokens[2:6]), Row(tokens[5:6], tokens[1:4])]
    was_training = policy.training
    policy.eval()
    (one,) = bins(rows, size=16)
    together = policy.logits(collate([one], pad=policy.pad, device=policy.model.device))
    apart = torch.cat([policy.logits(policy.collate([row])) for row in one.rows])
    policy.train(was_training)
    if not torch.allclose(together, apart, atol=1e-3, rtol=1e-3):
        raise InputError(
            f"packing is true and the model, a {policy.config.model_type}, would let packed rows see each other (it "
            "takes no mask of blocks, or no position ids). Set packing to false."
        )
