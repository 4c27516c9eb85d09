"""AdamW, its schedule as a pure function of the step, and the arithmetic of the forward pass."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from training.algorithms import distributed, sharding
from training.algorithms.errors import InputError
from training.algorithms.knobs import Optimisation


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype_for(precision: str) -> torch.dtype:
    """The dtype of the products. "auto" is bf16 where the processor multiplies it natively, else fp32."""
    if precision == "auto":
        precision = "bf16" if _native_bf16() else "fp32"
    return torch.bfloat16 if precision == "bf16" else torch.float32


def arithmetic(precision: str) -> contextlib.AbstractContextManager[None]:
    """The context in which forward passes run: autocast to bf16, or nothing."""
    dtype = dtype_for(precision)
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device().type, dtype=dtype)


def recompute(model: Any) -> None:
    """Let the model's layers keep no activations and run again in the backward pass (arXiv 1604.06174).

    transformers does so in training mode alone, where it also drops caches; ours learn in eval mode, and sample between
    updates. So the layers are told before each forward pass whether gradients are wanted.
    """
    if not model.supports_gradient_checkpointing:
        raise InputError(f"A {type(model).__name__} has no checkpointing. Set gradient_checkpointing to false.")
    # transformers 5.23 gave it another name.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    for module in model.modules():
        if _layers(module):
            module.register_forward_pre_hook(_tell_layers)


def _tell_layers(module: nn.Module, inputs: Any) -> None:
    for layer in _layers(module):
        layer.training = torch.is_grad_enabled()


def _layers(module: nn.Module) -> list[nn.Module]:
    """The layers that the module runs itself."""
    stacks = (child for child in module.children() if isinstance(child, nn.ModuleList))
    return [layer for stack in stacks for layer in stack if isinstance(layer, GradientCheckpointingLayer)]


def _native_bf16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text() if cpuinfo.exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def learning_rate(step: int, *, peak: float, total_steps: int, settings: Optimisation) -> float:
    """The rate of the update after `step` updates: a linear warm-up from a tenth, then the schedule."""
    if step < settings.warmup_steps:
        return peak * (0.1 + 0.9 * step / settings.warmup_steps)
    if settings.schedule == "constant":
        return peak
    done = (step - settings.warmup_steps) / max(total_steps - settings.warmup_steps, 1)
    left = 0.5 * (1 + math.cos(math.pi * min(done, 1))) if settings.schedule == "cosine" else 1 - min(done, 1)
    return peak * (settings.final_lr_fraction + (1 - settings.final_lr_fraction) * left)


class Optimiser:
    """AdamW over a module's trainable weights, with the gradient's norm clipped and the rate set by the step."""

    def __init__(self, module: nn.Module, settings: Optimisation, *, peak: float, total_steps: int) -> None:
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.settings, self.peak, self.total_steps = settings, peak, total_steps
        self.adam = torch.optim.AdamW(
            _groups(self.parameters, weight_decay=settings.weight_decay),
            lr=peak,
            betas=(settings.adam_beta1, settings.adam_beta2),
            eps=settings.adam_epsilon,
            fused=True,
        )

    def update(self, step: int) -> dict[str, float]:
        """Apply all processes' gathered gradients and clear them; says the rate and the norm before clipping."""
        if not sharding.is_on():  # pieces are added up as they are made
            distributed.sum_gradients(self.parameters)
        rate = learning_rate(step, peak=self.peak, total_steps=self.total_steps, settings=self.settings)
        for group in self.adam.param_groups:
            group["lr"] = rate
        bound = self.settings.max_grad_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, bound)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return {"lr": rate, "grad_norm": float(sharding.gathered(norm))}


def _groups(parameters: Iterable[nn.Parameter], *, weight_decay: float) -> list[dict[str, object]]:
    matrices = [parameter for parameter in parameters if parameter.dim() > 1]
    others = [parameter for parameter in parameters if parameter.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
