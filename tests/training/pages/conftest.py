from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

if TYPE_CHECKING:
    from tests.training.pages.scene import Scene


@pytest.fixture
def scene(db: Any) -> Scene:
    from tests.training.pages.scene import build_scene  # models can be imported only once Django is set up

    return build_scene()


@pytest.fixture
def rosa(scene: Scene) -> Client:
    """The researcher's browser."""
    client = Client()
    client.force_login(scene.people.rosa)
    return client
