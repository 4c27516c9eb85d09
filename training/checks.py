"""What `manage.py check` looks at for the training side: a data folder that runs can write to, with room in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

LEAST_FREE_BYTES = 2 * 1024**3


@register()
def data_folder(**kwargs: Any) -> list[CheckMessage]:
    data = Path(settings.DATA)
    existing = next(path for path in (data, *data.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return [
            Error(
                f"The data folder {data} can't be written to.",
                hint="Give it to the user that Plumbline runs as, or set PLUMBLINE_DATA to another folder.",
                id="training.E001",
            )
        ]
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE_BYTES:
        return [
            Warning(
                f"Only {free / 1024**3:.1f} GB are free where the data folder {data} lies.",
                hint="Runs keep checkpoints and models there. Make room, or set PLUMBLINE_DATA to another folder.",
                id="training.W001",
            )
        ]
    return []
