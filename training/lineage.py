"""Where a thing came from: the code's version, the hash of a file, the lineage that lies beside a model's weights."""

from __future__ import annotations

import hashlib
import json
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings

HEADING = "## Lineage"
NOT_IN_CARD = {"hyperparameters", "files"}  # the card has a table of the first, and the second has the dataset's hash


@cache
def code_version() -> str:
    """The commit of the working tree, marked where files differ from it; outside a clone, the package's version."""
    command = ["git", "-C", str(settings.BASE_DIR), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        return metadata.version("plumbline")
    except metadata.PackageNotFoundError:
        return "unknown"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_lineage(folder: Path, lineage: dict[str, Any]) -> None:
    """Put lineage.json beside the weights, and its rows into the model card. Writing it again changes nothing."""
    _replace(folder / "lineage.json", json.dumps(lineage, indent=1, ensure_ascii=False) + "\n")
    card = folder / "README.md"
    text = card.read_text() if card.exists() else ""
    before = text.partition(HEADING)[0].rstrip()
    rows = "\n".join(
        f"- {name.replace('_', ' ')}: `{value}`" for name, value in lineage.items() if name not in NOT_IN_CARD
    )
    _replace(card, f"{before}\n\n{HEADING}\n\n{rows}\n".lstrip())


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text)
    draft.replace(path)
