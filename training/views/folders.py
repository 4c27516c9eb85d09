"""What pages read of a run's folder and of a model's: files that another process may be writing right now."""

from __future__ import annotations

import json
from typing import Any

from training.models import Policy, RewardModel, TrainingRun

CARD_CHARACTERS = 64_000


def before_and_after(run: TrainingRun) -> list[dict[str, Any]]:
    """What the policy said to the same prompts, with the same seeds, before PPO and at the last look."""
    path = run.output / "fixed_samples.jsonl"
    if not path.is_file():
        return []
    looks = path.read_text(encoding="utf-8").split("\n")[:-1]  # a text may hold other ends of lines
    if len(looks) < 2:
        return []
    first, last = json.loads(looks[0])["samples"], json.loads(looks[-1])["samples"]
    return [
        {"prompt": before["prompt"], "before": before, "after": after}
        for before, after in zip(first, last, strict=False)
    ]


def model_card(model: Policy | RewardModel) -> str:
    """The Markdown of the folder's README without its head of machine-readable lines."""
    path = model.folder / "README.md"
    if not model.path or not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(CARD_CHARACTERS)
    if text.startswith("---\n"):
        text = text[4:].partition("\n---\n")[2]
    return text.strip()


def model_files(model: Policy | RewardModel) -> list[tuple[str, int]]:
    """Names and bytes of the model's files."""
    if not model.path or not model.folder.is_dir():
        return []
    return [(path.name, path.stat().st_size) for path in sorted(model.folder.iterdir()) if path.is_file()]
