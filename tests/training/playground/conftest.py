from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.training.playground.scene import Scene


@pytest.fixture(autouse=True)
def nobody_has_asked() -> None:
    """What was counted for people of another test, who had the same numbers, is forgotten."""
    from django.core.cache import cache

    cache.clear()


@pytest.fixture
def scene(db: Any) -> Scene:
    from tests.training.playground.scene import build_scene  # models can be imported only once Django is set up

    return build_scene()
