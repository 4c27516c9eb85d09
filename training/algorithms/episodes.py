"""What an iteration of PPO learns from; part of the state of a run, which may stop between any two updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.algorithms.data import Row


@dataclass
class Episodes:
    """What an iteration learns from: B episodes, tensors (B, R) with zeros after a row's last token."""

    rows: list[Row]
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def pack(self) -> dict[str, Tensor]:
        """As tensors, for a checkpoint."""
        return {
            "tokens": torch.tensor([token for row in self.rows for token in (*row.prompt, *row.completion)]),
            "sizes": torch.tensor([[len(row.prompt), len(row.completion)] for row in self.rows]),
            "logprobs": self.logprobs,
            "values": self.values,
            "advantages": self.advantages,
            "returns": self.returns,
        }

    @classmethod
    def unpack(cls, packed: dict[str, Tensor]) -> Episodes:
        tokens, rows, at = packed["tokens"].tolist(), [], 0
        for prompt, completion in packed["sizes"].tolist():
            rows.append(Row(tokens[at : at + prompt], tokens[at + prompt : at + prompt + completion]))
            at += prompt + completion
        return cls(rows, *(packed[name] for name in ("logprobs", "values", "advantages", "returns")))


def places(rows: Sequence[Row], numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Where the completion tokens of the numbered rows are in a (B, R), row by row: (N,) rows and (N,) columns."""
    sizes = [len(rows[i].completion) for i in numbers]
    return (
        torch.tensor(list(numbers)).repeat_interleave(torch.tensor(sizes)),
        torch.cat([torch.arange(size) for size in sizes]),
    )
