"""How the cache keeps values in Redis: as JSON, where Django would pickle them."""

from __future__ import annotations

import json
from typing import Any


class Json:
    """Lists come back as lists, and tuples too; anything that JSON can't hold is refused."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, stored: bytes) -> Any:
        return json.loads(stored)
