"""Whatever the file, importing it ends in a report: each line came in, was there, or is refused by number and why."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from annotation import exporting, formats, importing
from annotation.importing import KINDS, import_rows, look_through
from annotation.models import Completion, Demonstration, Item, Project, Prompt, Ranking, Wording
from tests.fuzz import files

if TYPE_CHECKING:
    from tests.world import World

QUICK = settings(
    max_examples=40, database=None, deadline=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
THOROUGH = settings(QUICK, max_examples=1_000, derandomize=False, phases=[Phase.generate, Phase.shrink])
MODELS = (Prompt, Wording, Demonstration, Completion, Ranking, Item)
FORMS = tuple(files.WRITERS)


def everything() -> list[int]:
    return [model._default_manager.count() for model in MODELS]


def check(world: World, kind: str, name: str, content: bytes) -> importing.Findings:
    """The file is looked through, imported whole or not at all, then its good lines alone, then once more."""
    found = look_through(world.project, kind, io.BytesIO(content), name=name)
    assert all(error.line >= 0 and error.message for error in found.errors)
    assert len(found.errors) == min(found.bad, importing.ERRORS_KEPT)
    json.dumps([found.errors, [row.text for _line, row in found.sample]]).encode()
    with transaction.atomic():
        before = everything()
        whole = brought(world.project, kind, name, content, world, keep_good=False)
        assert (whole.rows, whole.repeats) == (0, 0) if found.bad else whole.rows + whole.repeats == found.rows
        assert not found.bad or everything() == before
        transaction.set_rollback(True)
    with transaction.atomic():
        good = brought(world.project, kind, name, content, world, keep_good=True)
        assert (good.rows + good.repeats, good.bad, good.errors) == (found.rows, found.bad, found.errors)
        after = everything()
        again = brought(world.project, kind, name, content, world, keep_good=True)
        assert (again.rows, again.repeats) == (0, found.rows)
        assert everything() == after
        transaction.set_rollback(True)
    return found


def brought(
    project: Project, kind: str, name: str, content: bytes, world: World, *, keep_good: bool
) -> importing.ImportReport:
    return import_rows(project, kind, SimpleUploadedFile(name, content), user=world.ada, keep_good=keep_good)


def bytes_of_any_kind(world: World, data: st.DataObject) -> None:
    name = f"rows.{data.draw(st.sampled_from([*FORMS, 'json', 'ndjson', 'zip', '']))}"
    start = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"PAR1", b"{", b"prompt,completion\r\n", b"\x1f\x8b"]))
    check(world, data.draw(st.sampled_from(KINDS)), name, start + data.draw(st.binary(max_size=200)))


def lines_of_any_shape(world: World, data: st.DataObject) -> None:
    """Each line is counted once, and a bad one is told by its own number."""
    kind = data.draw(st.sampled_from(KINDS))
    rows = data.draw(st.lists(st.one_of(files.odd_rows, files.nearly_right(kind), files.GOOD[kind]), max_size=6))
    found = check(world, kind, "rows.jsonl", files.as_jsonl(rows))
    assert found.rows + found.bad == len(rows)
    lines = [error.line for error in found.errors] + [line for line, _row in found.sample]
    assert len(rows) > 5 or sorted(lines) == list(range(1, len(rows) + 1))


def files_with_damage(world: World, data: st.DataObject) -> None:
    kind, form = data.draw(st.sampled_from(KINDS)), data.draw(st.sampled_from(FORMS))
    rows = data.draw(st.lists(st.one_of(files.nearly_right(kind), files.GOOD[kind]), max_size=4))
    check(world, kind, f"rows.{form}", data.draw(files.damaged(files.WRITERS[form](rows))))


def good_files(world: World, data: st.DataObject) -> None:
    """What went in goes out, in any format, comes in elsewhere, and goes out again the same to the byte."""
    kind, form = data.draw(st.sampled_from(sorted({*KINDS} & {*exporting.KINDS}))), data.draw(st.sampled_from(FORMS))
    rows = data.draw(st.lists(files.GOOD[kind], min_size=1, max_size=5))
    with transaction.atomic():
        first = brought(world.project, kind, "rows.jsonl", files.as_jsonl(rows), world, keep_good=False)
        assert (first.rows + first.repeats, first.bad) == (len(rows), 0), first.errors
        out = exported(world.project, kind, form)
        second = brought(world.next_door, kind, f"rows.{form}", out, world, keep_good=False)
        assert (second.rows, second.repeats, second.errors) == (first.rows, 0, [])
        assert exported(world.next_door, kind, "jsonl") == exported(world.project, kind, "jsonl")
        assert exported(world.next_door, kind, form) == out
        assert brought(world.next_door, kind, f"rows.{form}", out, world, keep_good=False).rows == 0
        transaction.set_rollback(True)


def exported(project: Project, kind: str, form: str) -> bytes:
    """As users get it, but without the numbers that records have in their own project."""
    rows: Any = {
        "instructions": exporting.instruction_rows, "demonstrations": exporting.demonstration_rows,
        "rankings": exporting.ranking_rows,
    }  # fmt: skip
    columns = [name for name in exporting.COLUMNS[kind] if name != "ranking"]
    return b"".join(formats.write(rows[kind](project), columns, form))


PROPERTIES = (bytes_of_any_kind, lines_of_any_shape, files_with_damage, good_files)


@pytest.mark.parametrize("holds", PROPERTIES)
def test_any_file_ends_in_a_report(world: World, holds: Any) -> None:
    QUICK(given(st.data())(lambda data: holds(world, data)))()


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("holds", PROPERTIES)
def test_so_do_many_more(world: World, holds: Any) -> None:
    THOROUGH(given(st.data())(lambda data: holds(world, data)))()
