"""Models in pieces over the processes that share a run (FSDP), where accelerate's configuration asks for it.

Each process holds a piece of every weight, of its gradient and of Adam's moments. `fully_shard` gathers the layers one
by one as they run, in all processes together: so all of them must run the model equally often (`in_step`). To sample
and to save, a network is put together for a while (`whole`). Where nothing is in pieces, all this is nothing.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from training.algorithms import distributed
from training.algorithms.errors import InputError

if TYPE_CHECKING:
    from training.algorithms.networks import Network

T = TypeVar("T")
N = TypeVar("N", bound="Network")

# What accelerate hands on of its configuration: the values that are meant here, and what to do about others.
WANTED = {
    "FSDP_VERSION": (("2",), "Set fsdp_version to 2."),
    "FSDP_OFFLOAD_PARAMS": (("false",), "Set fsdp_offload_params to false; for less memory set lora_rank."),
    "FSDP_RESHARD_AFTER_FORWARD": (("true", "full_shard"), "Set fsdp_reshard_after_forward to true."),
    "FSDP_ACTIVATION_CHECKPOINTING": (
        ("false",),
        "Set fsdp_activation_checkpointing to false, and the hyperparameter gradient_checkpointing to true.",
    ),
    "FSDP_AUTO_WRAP_POLICY": (
        ("transformer_based_wrap",),
        "Set fsdp_auto_wrap_policy to TRANSFORMER_BASED_WRAP: a layer is a piece.",
    ),
}


def is_on() -> bool:
    """Whether networks that learn, and those beside them, are to be in pieces."""
    return _asked() and distributed.count() > 1


def _asked() -> bool:
    return os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def check() -> None:
    """Raises InputError where accelerate's configuration asks for an FSDP that is not this one, in every process."""
    if not _asked():
        return
    for name, (meant, remedy) in WANTED.items():
        given = os.environ.get(name, meant[0])
        if given.lower() not in meant:
            raise InputError(f"accelerate's configuration says {name}={given}, which is not supported. {remedy}")
    # Where it is true, as by default, transformers opens the weights in the first process alone.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"


def shard(network: Network) -> None:
    """Leave this process a piece of each weight. What is trained must be known by now (`Network.learn`)."""
    if not is_on() or network.assembled:
        return
    modules = (*_layers(network.model), network)
    empty: dict[int, Any] = {id(each): _empty(each) for each in network.parameters()}
    network.assembled = (copy.deepcopy(network, empty).eval(),)
    mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (distributed.count(),))
    for module in modules:
        piece: Any = fully_shard(module, mesh=mesh, reshard_after_forward=True)
        # Losses are divided by what all processes count: their gradients add up.
        piece.set_gradient_divide_factor(1.0)
        piece.set_force_sum_reduction_for_comms(True)  # gloo knows no other
    for name in network.passes:
        register_fsdp_forward_method(network, name)


@contextlib.contextmanager
def whole(network: N) -> Iterator[N]:
    """The network in one piece, to be used or saved and not to learn: itself or, of pieces, a copy for the while.

    All processes have to ask for it together, and each holds all its weights meanwhile.
    """
    if not network.assembled:
        yield network
        return
    copied: Any = network.assembled[0]
    if hasattr(network, "offset"):
        copied.offset = network.offset  # of a reward model, set when it has learnt
    gatherings: dict[int, nn.Parameter] = {}  # tied weights are gathered once, and stay tied
    for mine, theirs in zip(copied.modules(), network.modules(), strict=True):
        mine._buffers.update(theirs._buffers)
        for name, weight in theirs._parameters.items():
            if weight is not None:
                if id(weight) not in gatherings:
                    gatherings[id(weight)] = nn.Parameter(gathered(weight.detach()), requires_grad=False)
                mine._parameters[name] = gatherings[id(weight)]
    try:
        yield copied
    finally:
        for module in copied.modules():
            for name, weight in module._parameters.items():
                module._parameters[name] = None if weight is None else _empty(weight)


def gathered(tensor: Tensor) -> Tensor:
    """The whole tensor; of pieces all processes have to ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def piece_of(tensor: Tensor, *, like: Tensor) -> Tensor:
    """What this process holds of a whole tensor, laid out as the other is. Every process has the whole one."""
    tensor = tensor.to(like.device)
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def in_step(parts: Iterable[T], *, idle: Callable[[], Tensor]) -> Iterator[T]:
    """The parts and then, where models are in pieces, as many idle passes as other processes have parts more.

    idle: runs the models as a part does, in the same order; a sum of what they give, whose gradient counts for nothing.
    """
    if not is_on():
        yield from parts
        return
    own = list(parts)
    missing = distributed.most(len(own)) - len(own)
    yield from own
    for _ in range(missing):
        given = idle()
        if torch.is_grad_enabled():
            (0 * given).backward()


def _layers(model: Any) -> list[nn.Module]:
    """What is gathered at a time: the modules of the kinds that accelerate's configuration, or the model, names."""
    chosen = os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP", "")
    kinds = {each.strip() for each in chosen.split(",")} if chosen else set(model._no_split_modules or ())
    found = [module for module in model.modules() if type(module).__name__ in kinds]
    if chosen and not found:
        raise InputError(
            f"A {type(model).__name__} has no layer of the kind {chosen}. Leave fsdp_transformer_layer_cls_to_wrap out."
        )
    return found


def _empty(weight: Tensor) -> nn.Parameter:
    """A parameter of the weight's shape that takes no memory."""
    return nn.Parameter(torch.empty_like(weight, device="meta"), requires_grad=False)
