"""`manage.py translations`: the texts of templates and Python code, in every language of the settings, without gettext.

Reads the sources with Babel (templates by way of Django's own templatize), merges what it finds into
locale/*/LC_MESSAGES/django.po and compiles that. `--check` changes nothing and fails when a text lacks its translation.
"""

from __future__ import annotations

import io
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import to_locale
from django.utils.translation.template import templatize

SOURCES = ("annotation", "config", "training", "templates")
LEFT_OUT = ("migrations",)
KEYWORDS: dict[str, Any] = DEFAULT_KEYWORDS | {
    "gettext_lazy": None,
    "knob": (2,),  # a hyperparameter's line of help, which the algorithms know nothing of showing
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}


class Command(BaseCommand):
    help = "Collect the texts to translate, merge them into the catalogues and compile these."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; fail if a translation is missing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            return self.complain()
        for path in catalogues():
            catalogue = read(path)
            made = catalogue.creation_date
            catalogue.update(collected(), no_fuzzy_matching=True)
            catalogue.creation_date = made  # else every run would be a change
            catalogue.obsolete.clear()
            write(catalogue, path)
            compile_(catalogue, path.with_suffix(".mo"))
            left = len(list(missing(catalogue)))
            self.stdout.write(f"{path.parent.parent.name}: {len(catalogue)} texts, {left} to translate")

    def complain(self) -> None:
        found = collected()
        faults = [fault for path in catalogues() for fault in faults_of(read(path), found)]
        if faults:
            advice = f"{len(faults)} texts are not translated. Run `manage.py translations`, then fill them in."
            raise CommandError("\n".join([*faults, advice]))
        self.stdout.write(f"{len(found)} texts, all translated.")


def collected() -> Catalog:
    """Every translatable text of the sources, in the order of the files."""
    catalogue = Catalog()
    for path in source_files():
        place = str(path.relative_to(settings.BASE_DIR))
        for _line, text, comments, context in extract(
            "python", io.BytesIO(python_of(path)), KEYWORDS, ["Translators:"]
        ):
            if text:
                catalogue.add(text, locations=[(place, 0)], auto_comments=comments, context=context)
    return catalogue


def source_files() -> Iterator[Path]:
    for folder in SOURCES:
        for path in sorted((settings.BASE_DIR / folder).rglob("*")):
            if path.suffix in (".py", ".html", ".txt") and not set(LEFT_OUT) & set(path.parts):
                yield path


def python_of(path: Path) -> bytes:
    """The file as Python. What templatize makes of a template has no valid indentation, so its lines lose theirs."""
    text = path.read_text()
    if path.suffix != ".py":
        text = "\n".join(line.lstrip() for line in templatize(text, origin=str(path)).splitlines())
    return text.encode()


def catalogues() -> list[Path]:
    """The catalogue of each language but the one in which the sources are written."""
    locales = [to_locale(code) for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
    return [Path(settings.LOCALE_PATHS[0]) / locale / "LC_MESSAGES" / "django.po" for locale in locales]


def read(path: Path) -> Catalog:
    if not path.exists():
        return Catalog(locale=path.parent.parent.name, header_comment="# The texts of Plumbline.", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.parent.name, charset="utf-8")


def write(catalogue: Catalog, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalogue, width=110, include_lineno=False, sort_by_file=True)


def compile_(catalogue: Catalog, path: Path) -> None:
    with path.open("wb") as file:
        write_mo(file, catalogue)


def missing(catalogue: Iterable[Message]) -> Iterator[Message]:
    """Messages without a translation, or with one that somebody has yet to confirm."""
    for message in catalogue:
        texts = message.string if isinstance(message.string, list | tuple) else [message.string]
        if message.id and (message.fuzzy or not all(texts)):
            yield message


def faults_of(catalogue: Catalog, found: Catalog) -> Iterator[str]:
    known = {(message.id, message.context): message for message in catalogue}
    for message in found:
        if not message.id:
            continue
        translated = known.get((message.id, message.context))
        where = ", ".join(place for place, _line in message.locations)
        if translated is None or any(missing([translated])):
            yield f"{catalogue.locale}: {message.id!r} ({where}) has no translation."
        else:
            errors = translated.check(catalogue)
            yield from (f"{catalogue.locale}: {message.id!r} ({where}): {error}" for error in errors)
