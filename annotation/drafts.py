"""What a page knows of the draft that the server holds: a name of its content, to tell whose text is newer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def version_of(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()[:16]
