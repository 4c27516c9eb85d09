from __future__ import annotations

from tests.access.conftest import scene
from tests.annotation.conftest import world

__all__ = ["scene", "world"]
