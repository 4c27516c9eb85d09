from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.world import World


@pytest.fixture
def world(db: None) -> World:
    from tests.world import make_world  # models can be imported only once Django is set up, which is after this file

    return make_world()
