from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.training.playground.scene import Scene


@pytest.fixture
def scene(db: Any) -> Scene:
    from tests.training.playground.scene import build_scene  # models can be imported only once Django is set up

    return build_scene()
