"""Whether a round fits: the disk that its models and checkpoints take, the memory that its largest stage takes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from training import devices, weights
from training.models import Policy, Stage
from training.plans import Settings

WEIGHT = 4  # bytes: weights, gradients and both of Adam's means are kept in fp32
CHECKPOINT = 3 * WEIGHT  # the weight and Adam's means
LEARNT = 4 * WEIGHT  # the weight, its gradient and Adam's means
CHECKPOINTS = 3  # two are kept while a third is written (training.algorithms.checkpoints)
LEARNERS = {Stage.SFT: 1, Stage.REWARD_MODEL: 1, Stage.PPO: 2, Stage.DPO: 1}  # PPO trains policy and value model
FROZEN = {Stage.PPO: 2, Stage.EVALUATE: 3, Stage.SAMPLE: 3, Stage.BEST_OF_N: 2}  # models that it only asks


@dataclass(frozen=True)
class Room:
    """Bytes needed at the fullest moment, at least, and bytes free; None where they can't be told."""

    disk: int | None
    disk_free: int
    memory: int | None
    memory_free: int | None

    @property
    def disk_is_short(self) -> bool:
        return self.disk is not None and self.disk > self.disk_free

    @property
    def memory_is_short(self) -> bool:
        return self.memory is not None and self.memory_free is not None and self.memory > self.memory_free

    def problem(self) -> str:
        """Why a round that needs more disk than there is would fail; empty where it fits. Memory may be elsewhere."""
        if not self.disk_is_short:
            return ""
        return _(
            "The models and checkpoints of this round take {needed} at the fullest moment, and {free} are free where "
            "the data folder lies. Make room there, start from a smaller model, or train adapters alone (lora_rank)."
        ).format(needed=filesizeformat(self.disk or 0), free=filesizeformat(self.disk_free))


def of_round(base: Policy | None, settled: Settings) -> Room:
    """What a round from this policy with these settings needs, and what there is."""
    size = weights.parameters(base)
    return Room(
        disk=size * _disk(settled) if size else None,
        disk_free=shutil.disk_usage(_existing(Path(settings.DATA))).free,
        memory=size * max((_memory(stage, values) for stage, values in settled.items()), default=0) if size else None,
        memory_free=_memory_free(),
    )


def _disk(settled: Settings) -> int:
    """Bytes a weight at the fullest moment: the models made so far, and the checkpoints of the stage at work."""
    kept = fullest = 0
    for stage, values in settled.items():
        if stage not in LEARNERS:
            continue
        kept += WEIGHT
        fullest = max(fullest, kept + CHECKPOINTS * _checkpoint(stage, values))
    return fullest


def _checkpoint(stage: Stage, values: Mapping[str, Any]) -> int:
    """Bytes a weight; adapters are so small beside the model that they count for nothing."""
    if values["lora_rank"]:
        return 0
    return LEARNERS[stage] * CHECKPOINT + (WEIGHT if values.get("ema_decay") else 0)


def _memory(stage: Stage, values: Mapping[str, Any]) -> int:
    """Bytes a weight, without what the rows and outputs in work take."""
    learnt = WEIGHT if values.get("lora_rank") else LEARNT
    average = WEIGHT if values.get("ema_decay") else 0
    return LEARNERS.get(stage, 0) * learnt + FROZEN.get(stage, 0) * WEIGHT + average


def _memory_free() -> int | None:
    """Bytes of this machine; None where runs go to accelerators, whose memory only a run can ask for."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found and not devices.accelerators() else None


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
