"""`manage.py restore FILE`: what `manage.py backup` wrote, into an empty place; nothing else may run meanwhile."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.backup import BackupError
from config.backup.restoring import restore
from config.management.commands.backup import summary


class Command(BaseCommand):
    help = "Read the database and all files from a backup, all of it or nothing."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="what `manage.py backup` wrote")
        parser.add_argument("--replace", action="store_true", help="give up all data that is here now")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            manifest = restore(options["file"], replace=options["replace"])
        except BackupError as error:
            raise CommandError(f"{error} Nothing was restored.") from error
        self.stdout.write(f"As of {manifest['made_at']}: {summary(manifest)}.")
