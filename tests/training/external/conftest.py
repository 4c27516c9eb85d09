from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest

from tests.training.external.endpoint import Endpoint, endpoint
from tests.world import World, make_world


@pytest.fixture
def loopback(settings: Any) -> None:
    """The operator allows addresses on this machine."""
    settings.ENDPOINT_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture
def server(loopback: None) -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


@pytest.fixture
def people(db: Any) -> World:
    return make_world(k=4)
