"""`manage.py compare_datasets 3 5`: what sets two datasets apart, as a table or (`--json`) for scripts."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training.datasets import DatasetError
from training.differences import Difference, compare
from training.models import Dataset


class Command(BaseCommand):
    help = "Say which rows one dataset has and another has not, and how differently the two were made."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("before", type=int, help="the number of a dataset")
        parser.add_argument("after", type=int, help="the number of the one to compare with it")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        found = Dataset.objects.in_bulk([options["before"], options["after"]])
        for number in (options["before"], options["after"]):
            if number not in found:
                raise CommandError(f"There is no dataset {number}. Their numbers are on the project's page Datasets.")
        try:
            difference = compare(found[options["before"]], found[options["after"]])
        except DatasetError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(difference.as_json(), indent=1, ensure_ascii=False))
        else:
            self._print(difference)

    def _print(self, difference: Difference) -> None:
        self.stdout.write(f"{'rows':<26}{'before':>10}{'after':>10}{'added':>10}{'removed':>10}{'changed':>10}")
        for row in difference.rows:
            numbers = (row.before, row.after, row.added, row.removed, row.changed)
            self.stdout.write(f"{row.name:<26}" + "".join(f"{number:>10,}" for number in numbers))
        sections = {
            "left out": difference.left_out,
            "by version of the guidelines": difference.guidelines,
            "made with": difference.made_with,
        }
        for title, facts in sections.items():
            self.stdout.write(f"\n{title}")
            for fact in facts:
                mark = "*" if fact.differs else " "
                self.stdout.write(f"{mark} {fact.kind}, {fact.name}: {_shown(fact.before)} → {_shown(fact.after)}")


def _shown(value: Any) -> str:
    return "–" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
