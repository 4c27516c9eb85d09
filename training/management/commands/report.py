"""`manage.py report capitals policy-3 reward-model-2 --out FOLDER`: a report on these models, to hand on."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from annotation.models import Project
from training.evaluation import report, table


class Command(BaseCommand):
    help = "Write a report on models of a project: report.html by itself, report.md with its plots."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("project", help="the project's name in its address")
        parser.add_argument("models", nargs="*", help="such as policy-3 or reward-model-2; all if none is named")
        parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
        languages = [code for code, _name in settings.LANGUAGES]
        parser.add_argument("--language", choices=languages, default="en", help="of the report")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            known = ", ".join(Project.objects.values_list("slug", flat=True)) or "none"
            raise CommandError(f"There is no project {options['project']}. There are: {known}.")
        with translation.override(options["language"]):
            keys = options["models"] or [line.key for line in table.lines(project)]
            try:
                made = report.compose(project, keys)
            except report.NoModel as reason:
                raise CommandError(str(reason)) from reason
            files = {"report.html": report.as_html(made), **report.as_markdown(made)}
        for name, text in files.items():
            path = options["out"] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            self.stdout.write(str(path))
