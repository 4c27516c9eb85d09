from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client

if TYPE_CHECKING:
    from annotation.models import User

SignIn = Callable[..., Client]


@pytest.fixture
def sign_in() -> SignIn:
    def signed_in(person: User, *, language: str = "en") -> Client:
        client = Client(headers={"accept-language": language})
        client.force_login(person)
        return client

    return signed_in
