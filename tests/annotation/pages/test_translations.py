from __future__ import annotations

import io
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from django.core.management import CommandError, call_command

from config.management.commands import translations


def test_every_text_is_translated() -> None:
    call_command("translations", check=True, stdout=io.StringIO())


def test_texts_of_templates_and_of_code_are_both_found() -> None:
    found = {message.id for message in translations.collected()}
    assert {
        "Skip to the content",
        "Your answer",
        ("%(rows)s row was imported.", "%(rows)s rows were imported."),
    } <= found


@pytest.mark.parametrize(
    ("text", "flags", "faults"),
    [
        ("%(count)d 个", [], 0),
        ("", [], 1),
        ("%(count)d 个", ["fuzzy"], 1),
        ("%(number)d 个", [], 1),
        ("%(count)s 个", [], 1),
    ],
)
def test_a_missing_doubtful_or_broken_translation_is_a_fault(text: str, flags: list[str], faults: int) -> None:
    found, catalogue = Catalog(), Catalog(locale="zh_Hans")
    found.add("%(count)d pieces", locations=[("a.py", 0)])
    catalogue.add("%(count)d pieces", text, flags=["python-format", *flags])
    assert len(list(translations.faults_of(catalogue, found))) == faults


def test_check_names_the_text_and_the_file_and_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = tmp_path / "zh_Hans" / "LC_MESSAGES" / "django.po"
    monkeypatch.setattr(translations, "catalogues", lambda: [empty])
    with pytest.raises(CommandError, match=r"'Skip to the content' \(templates/base.html\) has no translation"):
        call_command("translations", check=True)
    assert not empty.exists()


def test_new_texts_are_merged_and_compiled_and_what_was_translated_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "zh_Hans" / "LC_MESSAGES" / "django.po"
    monkeypatch.setattr(translations, "catalogues", lambda: [path])
    call_command("translations", stdout=io.StringIO())
    filled = translations.read(path)
    filled["Skip to the content"].string = "跳过"
    translations.write(filled, path)
    call_command("translations", stdout=io.StringIO())
    with path.open("rb") as file:
        assert read_po(file)["Skip to the content"].string == "跳过"
    assert "跳过".encode() in path.with_suffix(".mo").read_bytes()
