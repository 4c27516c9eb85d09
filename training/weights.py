"""How large a model is, by the headers of its safetensors: JSON that names each tensor. No weights are read."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from training.models import Policy, RewardModel

LONGEST_HEADER = 100 * 1024 * 1024
ALIKE = 0.05  # a token more in the vocabulary, or a head, makes no other model of it


def header(path: Path) -> tuple[int, dict[str, Any]]:
    """The length of a safetensors file's header, and what it says; OSError, ValueError, struct.error if it has none."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > LONGEST_HEADER:
            raise ValueError(f"header of {length} bytes")
        return length, json.loads(file.read(length))


def parameters(model: Policy | RewardModel | None) -> int | None:
    """How many weights it has; None where its folder is not here. Of a model on the hub a policy made from it tells."""
    if model is None:
        return None
    if model.path:
        return _counted(model.folder)
    made = Policy.objects.filter(parent=model).exclude(path="").first() if isinstance(model, Policy) else None
    return _counted(made.folder) if made else None


def alike(one: int | None, other: int | None) -> bool:
    """Whether two models are of about one size."""
    return bool(one and other) and abs((one or 0) - (other or 0)) <= ALIKE * max(one or 0, other or 0)


def _counted(folder: Path) -> int | None:
    try:
        tensors = [tensor for path in folder.glob("*.safetensors") for tensor in _tensors(path)]
        return sum(math.prod(tensor["shape"]) for tensor in tensors) or None
    except (OSError, ValueError, struct.error, KeyError, TypeError):  # whoever opens the model says what is wrong
        return None


def _tensors(path: Path) -> list[dict[str, Any]]:
    return [tensor for name, tensor in header(path)[1].items() if name != "__metadata__"]
