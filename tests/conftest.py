"""Every test run has a data folder, a PostgreSQL server and a message folder of its own; by URL, those it is given.

The environment is set before Django reads its settings, and the server starts with the first test that needs it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

DATA = Path(tempfile.mkdtemp(prefix="plumbline-test-"))
BY_URL = bool(os.environ.get("DATABASE_URL"))

os.environ["PLUMBLINE_DATA"] = str(DATA)
os.environ["DJANGO_SETTINGS_MODULE"] = os.environ.get("TEST_SETTINGS", "config.settings")
os.environ.setdefault("OMP_NUM_THREADS", "1")
if BY_URL:
    os.environ.setdefault("SECRET_KEY", "only-for-tests")
    os.environ.setdefault("PUBLIC_HTTPS", "False")

from django.conf import settings  # noqa: E402

settings.STORAGES = settings.STORAGES | {  # pages need no collected static files
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Where several processes share the tests, each has its own, and so must not read the settings before it has."""
    del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_unconfigure(config: pytest.Config) -> None:
    from config.embedded import postgres

    postgres.stop(DATA)
    shutil.rmtree(DATA, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> None:
    """The database server of this test run, started at its first use, unless DATABASE_URL names another."""
    if not BY_URL:
        from config.embedded import postgres

        postgres.start(DATA, with_parent=True, durable=False)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres_server: None, django_db_modify_db_settings_parallel_suffix: None) -> None:
    """pytest-django asks for this before it makes the test database."""
