#!/usr/bin/env python
"""Django's command line. With the embedded database, it runs for as long as a command needs it."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext

from django.core.management import execute_from_command_line

WITHOUT_DATABASE = {"", "help", "simulate", "up", "version"}  # those two start and stop the server themselves


def database(command: str) -> AbstractContextManager[None]:
    from django.conf import settings

    from config.embedded import postgres

    if command in WITHOUT_DATABASE or command.startswith("-") or not settings.EMBEDDED:
        return nullcontext()
    return postgres.serving(settings.DATA)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    with database(sys.argv[1] if len(sys.argv) > 1 else ""):
        execute_from_command_line(sys.argv)
