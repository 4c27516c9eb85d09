"""`manage.py backup FILE`: the whole installation, database and files, as they are at this moment. People may go on."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.backup import BackupError
from config.backup.making import make


class Command(BaseCommand):
    help = "Write the database and all files to one file, which `manage.py restore` reads."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="where to write it, outside of the data folder: plumbline.zip")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            manifest = make(options["file"].absolute())
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{options['file']}: {summary(manifest)}. Keep it where nobody else can read it.")


def summary(manifest: dict[str, Any]) -> str:
    rows = sum(table["rows"] for table in manifest["tables"].values())
    size = sum(file["bytes"] for file in manifest["files"].values())
    return (
        f"{rows:,} rows of {len(manifest['tables'])} tables, {len(manifest['files']):,} files of {size / 1e6:,.1f} MB"
    )
