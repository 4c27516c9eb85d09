"""Checkpoints: everything a run needs to go on to the bit, in safetensors and JSON, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.algorithms import adapters, sharding

KEPT = 2
SPARE = 16 * 2**20  # left free for metrics and error.json


@dataclass
class State:
    """What a run consists of at a step: weights, optimisers, tensors (rollouts, averages) and plain values.

    A frozen base is no part of it: it is read anew.
    """

    modules: dict[str, nn.Module] = field(default_factory=dict)
    optimizers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    step: int = 0

    def pack(self) -> dict[str, Tensor]:
        """Every tensor under a name of its own; tied weights once."""
        packed = {"random/cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            packed["random/cuda"] = torch.cuda.get_rng_state()
        for name, module in self.modules.items():
            for key, tensor in _weights(module).items():
                packed[f"module/{name}/{key}"] = tensor
        for name, optimizer in self.optimizers.items():
            for i, parameter in enumerate(_parameters(optimizer)):
                for key, value in optimizer.state[parameter].items():
                    packed[f"optimizer/{name}/{i}/{key}"] = value
        for name, tensor in self.tensors.items():
            packed[f"tensor/{name}"] = tensor
        return packed

    def unpack(self, packed: Mapping[str, Tensor]) -> None:
        """Put back what `pack` gave. Weights are copied in place, so that optimisers keep their parameters."""
        torch.set_rng_state(packed["random/cpu"])
        if torch.cuda.is_available() and "random/cuda" in packed:
            torch.cuda.set_rng_state(packed["random/cuda"])
        with torch.no_grad():
            for name, module in self.modules.items():
                for key, tensor in _weights(module).items():
                    tensor.copy_(sharding.piece_of(packed[f"module/{name}/{key}"], like=tensor))
        for name, optimizer in self.optimizers.items():
            parameters = _parameters(optimizer)
            prefix = f"optimizer/{name}/"
            for full, value in packed.items():
                if full.startswith(prefix):
                    i, key = full.removeprefix(prefix).split("/")
                    parameter = parameters[int(i)]
                    of_weights = value.shape == parameter.shape
                    optimizer.state[parameter][key] = (
                        sharding.piece_of(value, like=parameter) if of_weights else value.to(parameter.device)
                    )
        self.tensors = {
            name.removeprefix("tensor/"): tensor for name, tensor in packed.items() if name.startswith("tensor/")
        }


def write(folder: Path, state: State, *, here: bool = True) -> None:
    """Save the state as `folder`/step-N and keep the last two.

    here: whether this process does; where models are in pieces all have to call, and the others give theirs. Raises
    OSError (ENOSPC), before anything is written, where the disk has no room for it.
    """
    packed = {}
    for name, tensor in state.pack().items():
        gathered = sharding.gathered(tensor.detach())
        if here:
            packed[name] = gathered.cpu().contiguous()
    if not here:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _check_room(folder, needed=_size(packed.values()), what="A checkpoint takes")
    final = folder / f"step-{state.step:09d}"
    beside = folder / f".{final.name}.{os.getpid()}"
    try:
        beside.mkdir()
        with plain_disk_errors(beside):
            save_file(packed, beside / "state.safetensors")
        (beside / "state.json").write_text(json.dumps({"step": state.step, "values": state.values}))
        for file in beside.iterdir():
            _to_disk(file)
        if final.exists():
            shutil.rmtree(final)
        beside.rename(final)
        _to_disk(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    for old in _found(folder)[:-KEPT]:
        shutil.rmtree(old)


def foresee(folder: Path, state: State) -> None:
    """Raises OSError (ENOSPC) where the disk has no room for the checkpoints that will be kept and one being written.

    Better now than after a day: what Adam will remember is counted before it does. Rollouts are small beside it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    moments = (parameter for optimizer in state.optimizers.values() for parameter in _parameters(optimizer))
    weights = (tensor for module in state.modules.values() for tensor in _weights(module).values())
    one = _size(weights) + 2 * _size(moments)
    missing = KEPT + 1 - len(_found(folder))
    _check_room(folder, needed=missing * one, what=f"{missing} checkpoints take")


@contextlib.contextmanager
def plain_disk_errors(path: Path) -> Iterator[None]:
    """Turn what safetensors makes of a full or broken disk into the OSError that it was."""
    try:
        yield
    except SafetensorError as error:
        number = errno.ENOSPC if "No space left" in str(error) else errno.EIO
        raise OSError(number, str(error), str(path)) from error


def restore(folder: Path, state: State) -> bool:
    """Set the state to the latest whole checkpoint; False where there is none. Leftovers of a kill are cleared."""
    for leftover in folder.glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for path in reversed(_found(folder)):
        try:
            packed = load_file(path / "state.safetensors")
            plain = json.loads((path / "state.json").read_text())
        except (OSError, ValueError, SafetensorError) as error:
            print(f"{path} cannot be read ({error}); going back to the one before.", flush=True)
            continue
        state.unpack(packed)
        state.step, state.values = plain["step"], plain["values"]
        return True
    return False


def _found(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {**adapters.moving(module), **dict(module.named_buffers())}


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _size(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _check_room(folder: Path, *, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise OSError(
            errno.ENOSPC,
            f"{what} {needed / 2**20:.0f} MiB and {free / 2**20:.0f} MiB are free. Make room, then start "
            "the run again: it goes on from its last checkpoint",
            str(folder),
        )


def _to_disk(path: Path) -> None:
    """fsync a file or a folder's list of names: a rename must not reach the disk before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
