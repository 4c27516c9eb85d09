from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.access.visits import Scene


@pytest.fixture
def scene(db: Any) -> Scene:
    from tests.access.visits import build_scene  # models can be imported only once Django is set up

    return build_scene()
