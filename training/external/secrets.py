"""The keys of external models, encrypted at rest (Fernet: AES-128-CBC with HMAC-SHA256).

The secrets come from ENDPOINT_SECRETS, else from a file beside the other secrets, one a line. The first encrypts and
all decrypt, so that a secret can be replaced while the old one is still read (`manage.py rotate_endpoint_secret`).
"""

from __future__ import annotations

from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.env import kept_secret
from training.external.problems import EndpointError, Problem

FILE = "endpoint_secret"


def sealed(key: str) -> str:
    """As the database keeps it; nothing where there is no key."""
    return _box().encrypt(key.encode()).decode() if key else ""


def opened(sealed_key: str) -> str:
    """The key itself, for the one call that needs it. EndpointError where its secret is gone."""
    if not sealed_key:
        return ""
    try:
        return _box().decrypt(sealed_key.encode()).decode()
    except InvalidToken:
        raise EndpointError(Problem.KEY_LOST) from None


def resealed(sealed_key: str) -> str:
    """The same key under the first secret; InvalidToken where none of the secrets opens it."""
    return _box().rotate(sealed_key.encode()).decode()


def secrets_file() -> Path:
    return Path(settings.DATA) / FILE


def _box() -> MultiFernet:
    """Read anew each time: another process may have replaced the secret."""
    names = settings.ENDPOINT_SECRETS or kept_secret(secrets_file(), Fernet.generate_key().decode()).split()
    try:
        return MultiFernet([Fernet(each) for each in names])
    except ValueError:
        raise ImproperlyConfigured(
            "ENDPOINT_SECRETS holds what is no secret of Fernet: expected 32 bytes in URL-safe base64. Make one: "
            "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
        ) from None
