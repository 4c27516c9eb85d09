"""The processes that share one run, as accelerate or torchrun start them: all that knows of them is here.

Every process reads all rows, learns from its share of each batch, and divides by what the whole batch counts (tokens,
rankings): the sum over the processes is then what one process would have had. Where there is one, all this is nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.algorithms.errors import InputError

T = TypeVar("T")


def join() -> None:
    """Meet the others that the launcher started: over NCCL where there are GPUs, one each, else over gloo.

    Raises InputError where accelerate's configuration asks for DeepSpeed: it would seem to be so, and not be.
    """
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        raise InputError(
            "accelerate's configuration asks for DeepSpeed, which is not supported. Choose distributed_type FSDP for "
            "models in pieces, or MULTI_GPU for whole ones."
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def count() -> int:
    """How many processes share the run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them; number 0 alone writes."""
    return dist.get_rank() if dist.is_initialized() else 0


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of the items: every `count()`-th, so that rows sorted by length make like shares."""
    return items[rank() :: count()] if count() > 1 else items


def total(tensor: Tensor) -> Tensor:
    """The tensor, added up over the processes in place."""
    if count() > 1:
        dist.all_reduce(tensor)
    return tensor


def totals(*values: float) -> list[float]:
    """Each number added up over the processes."""
    return total(torch.tensor(values, dtype=torch.float64, device=_place())).tolist() if count() > 1 else list(values)


def most(number: int) -> int:
    """The largest number of any process."""
    if count() == 1:
        return number
    found = torch.tensor(number, device=_place())
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def anyone(is_so: bool) -> bool:  # noqa: FBT001
    """Whether it is so in any process; all have to ask."""
    return totals(is_so) != [0]


def gather(mine: Sequence[Sequence[int]], *, items: int) -> list[list[int]]:
    """The lists of every process, in the order of the `items` of which each had its `share`."""
    if count() == 1:
        return list(map(list, mine))
    places = share(range(items))
    sizes = torch.zeros(items, dtype=torch.long, device=_place())
    sizes[list(places)] = torch.tensor([len(each) for each in mine], dtype=torch.long, device=sizes.device)
    total(sizes)
    padded = torch.zeros(items, int(sizes.max()), dtype=torch.long, device=sizes.device)
    for place, each in zip(places, mine, strict=True):
        padded[place, : len(each)] = torch.tensor(each, device=sizes.device)
    return [row[:size] for row, size in zip(total(padded).tolist(), sizes.tolist(), strict=True)]


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the gradients over the processes; one that no process has stays none."""
    if count() == 1:
        return
    parameters = list(parameters)
    given = total(torch.tensor([float(each.grad is not None) for each in parameters], device=_place())).tolist()
    under_way = []
    for parameter in (each for each, times in zip(parameters, given, strict=True) if times):
        if parameter.grad is None:  # its rows were all in other shares
            parameter.grad = torch.zeros_like(parameter)
        under_way.append(dist.all_reduce(parameter.grad, async_op=True))
    for work in under_way:
        work.wait()


def agree(step: int) -> None:
    """Raise InputError where the processes would go on from different steps: they do not see the same folder."""
    if totals(step)[0] != step * count():
        raise InputError(
            f"This process goes on from step {step} and another from another step. Give an --out on a disk that all "
            "machines share."
        )


def seed(start: int, *, step: int) -> None:
    """Let dropout differ between the processes, and a run that goes on draw at a step what it would have drawn."""
    if count() > 1:
        torch.manual_seed((start * 1_000_003 + step) * count() + rank())


def _place() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
