"""The installation of a team: PostgreSQL and Redis by URL, from the system's own packages."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests.team_services import ServiceMissing, team_services


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not settings.EMBEDDED, reason="these tests run on services by URL already")
def test_the_loop_runs_on_a_teams_own_postgresql_and_redis() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "tests/training/test_loop.py"]
    ours = ("PLUMBLINE_DATA", "DJANGO_SETTINGS_MODULE")  # or it would read its settings before it has its own folder
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    try:
        with team_services() as named:
            loop = subprocess.run(
                command, cwd=settings.BASE_DIR, env=inherited | named, text=True, capture_output=True, check=False
            )
    except ServiceMissing as missing:
        pytest.skip(str(missing))

    assert loop.returncode == 0, loop.stdout
    assert "skipped" not in loop.stdout
