"""The devices of this worker's machine: one run at a time on each, whichever worker has it.

A device is named as TRAINING_DEVICES has it: the number of an accelerator, several joined by + for a run over all of
them, or a name that begins with cpu for none. Where nothing is set the machine is one device. A run's row says which
device it is on, and the database lets no second running one be on the same.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from django.conf import settings

ALL = "all"


def here() -> list[str]:
    """Those that this worker may use, with the machine's name, so that no other machine's are taken for them."""
    machine = settings.TRAINING_MACHINE or socket.gethostname()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").replace(" ", "").replace(",", "+")
    return [f"{machine}:{name}" for name in settings.TRAINING_DEVICES or [visible or ALL]]


def environment(device: str) -> dict[str, str]:
    """What a process is told so that it sees its own device and no other."""
    name = _name(device)
    if name == ALL:
        return {}
    return {"CUDA_VISIBLE_DEVICES": "" if name.startswith("cpu") else name.replace("+", ",")}


def accelerators(device: str = "") -> int:
    """How many a run on the device has; on no device in particular, how many this process sees."""
    visible = environment(device).get("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES") or None)
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip() not in ("", "-1")])
    return len([path for path in Path("/dev").glob("nvidia*") if path.name.removeprefix("nvidia").isdigit()])


def _name(device: str) -> str:
    return device.rpartition(":")[2] or ALL
