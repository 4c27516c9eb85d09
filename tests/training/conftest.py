from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.training.world import Lab


@pytest.fixture
def lab(db: Any) -> Lab:
    from tests.training.world import build_lab  # Django's models can be imported only once pytest has set it up

    return build_lab()
