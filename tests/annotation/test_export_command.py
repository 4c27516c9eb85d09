"""`manage.py export`: the same file as the browser's, whole or not at all, with a bar on stderr."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from annotation import exporting
from annotation.exporting import FORMATS, KINDS, stream
from annotation.management.commands.export import Bar
from annotation.models import AuditEntry
from tests.world import World, make_prompt, make_ranking_item, rank, taken


@pytest.fixture
def ranked(world: World) -> World:
    for number in range(3):
        make_ranking_item(world.project, prompt=make_prompt(world.project, f"Question {number}?"))
        rank(taken(world.project, world.alice))
    return world


def of_browser(world: World, kind: str, form: str) -> bytes:
    return b"".join(stream(world.project, kind, form))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
def test_writes_the_same_file_as_the_browser_gets(ranked: World, tmp_path: Path, kind: str, form: str) -> None:
    out = tmp_path / f"rows.{form}"
    call_command("export", "capitals", kind, "--out", str(out))
    assert out.read_bytes() == of_browser(ranked, kind, form)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.details) == ("exported", {"kind": kind, "format": form})


def test_names_the_file_after_project_and_kind(ranked: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call_command("export", "capitals", "comparisons", "--form", "csv")
    assert (tmp_path / "capitals-comparisons.csv").read_bytes() == of_browser(ranked, "comparisons", "csv")


def test_writes_rows_to_standard_output_and_nothing_else(ranked: World, capfdbinary: Any) -> None:
    call_command("export", "capitals", "comparisons", "--out", "-")
    said, noted = capfdbinary.readouterr()
    assert said == of_browser(ranked, "comparisons", "jsonl")
    assert b"3 of 3 records" in noted


def test_one_that_is_cut_short_leaves_the_old_file(
    ranked: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rows.jsonl"
    out.write_text("old")

    def cut_short(*_given: Any, **_named: Any) -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "stream", cut_short)
    with pytest.raises(KeyboardInterrupt):
        call_command("export", "capitals", "rankings", "--out", str(out), "--verbosity", "0")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_says_which_projects_there_are_and_why_a_file_can_not_be_written(ranked: World, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no project 'capital'. Known are: capitals, next-door"):
        call_command("export", "capital", "rankings")
    with pytest.raises(CommandError, match="can't be written.*--out"):
        call_command("export", "capitals", "rankings", "--out", str(tmp_path / "none" / "rows.jsonl"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_shows_how_far_it_is_and_how_long_it_still_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 100.1, 110.0, 120.0])
    monkeypatch.setattr("annotation.management.commands.export.time.monotonic", lambda: next(now))
    out = Terminal()
    bar = Bar(out, total=2_000, quiet=False)
    bar.tell(5)  # too soon after the last
    bar.tell(500)
    bar.end()
    first, second = out.getvalue().split("\r\x1b[K")[1:]
    assert first == "[########                      ]  25%  500 of 2,000 records, 0:30 left"
    assert second == f"[{'#' * 30}] 100%  2,000 of 2,000 records, done in 0:20\n"
