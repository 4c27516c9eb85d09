"""One row of a file, checked: what each kind of import expects, and why a row is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from annotation.adding import KINDS, USE_CASES
from annotation.models import Project, ReviewState, Split
from annotation.models.projects import MAX_K, MIN_K
from annotation.models.texts import Message
from annotation.refusals import Refused
from annotation.wording import cleaned, cleaned_messages, digest_of, storable

Row = dict[str, Any]

UNNAMED = "imported"
REVIEWS, SPLITS = tuple(ReviewState.values), tuple(Split.values)
LONGEST_NAME = 120


@dataclass(frozen=True, kw_only=True)
class ImportedPrompt:
    """Attributes that the file does not name are None, and match a prompt that is there already whatever its are."""

    messages: list[Message]
    digest: str
    kind: str | None
    use_case: str | None
    language: str | None
    split: Split | None


@dataclass(frozen=True, kw_only=True)
class ImportedCompletion:
    text: str
    model: str
    rank: float = 0
    rating: int | None = None
    acceptable: bool | None = None
    flags: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class ImportedRow:
    """`annotator`: whose work it is, whatever the file calls them; `created_at`: None where the file does not say."""

    prompt: ImportedPrompt
    review: str
    created_at: datetime | None
    text: str = ""
    completions: Sequence[ImportedCompletion] = ()
    annotator: str = ""
    guidelines: int | None = None
    note: str = ""
    seconds: float | None = None
    acceptable: int | None = None
    harmful: bool = False


def instruction(project: Project, row: Row) -> ImportedRow:
    return ImportedRow(annotator=_text(row, "author", default=""), **_common(project, row))


def demonstration(project: Project, row: Row) -> ImportedRow:
    """`completion` is a text, or as in conversational data sets a list of one message."""
    completion = row.get("completion")
    if isinstance(completion, list) and len(completion) == 1 and isinstance(completion[0], dict):
        completion = completion[0].get("content")
    text = cleaned(_text(row | {"completion": completion}, "completion"), longest=project.max_answer_characters)
    return ImportedRow(
        text=text, annotator=_text(row, "author", default=""), guidelines=_version(row), **_common(project, row)
    )


def outputs(project: Project, row: Row) -> ImportedRow:
    completions = [_completion(project, each) for each in _completions(row)]
    if len({(completion.text, completion.model) for completion in completions}) < len(completions):
        raise Refused(_("An output stands twice in the set, with the same text and the same model."))
    if len({completion.text.strip() for completion in completions}) < MIN_K:
        raise Refused(_("All outputs have the same text; nobody could rank one above the other."))
    return ImportedRow(completions=completions, **_common(project, row))


def ranking(project: Project, row: Row) -> ImportedRow:
    entries = _completions(row)
    completions = [_completion(project, each, rank=_number(each, "rank", required=True)) for each in entries]
    if len({(completion.text, completion.model) for completion in completions}) < len(completions):
        raise Refused(_("An output stands twice in the ranking, with the same text and the same model."))
    if len({(c.text, c.rank) for c in completions}) > len({c.text for c in completions}):
        raise Refused(_("Two outputs have the same text but different ranks."))
    return ImportedRow(
        completions=completions,
        annotator=_text(row, "annotator", default=""),
        guidelines=_version(row),
        note=_text(row, "note", default=""),
        seconds=_number(row, "seconds"),
        acceptable=_line(completions),
        **_common(project, row),
    )


PARSERS: dict[str, Callable[[Project, Row], ImportedRow]] = {
    "instructions": instruction,
    "demonstrations": demonstration,
    "completions": outputs,
    "rankings": ranking,
}


def _common(project: Project, row: Row) -> dict[str, Any]:
    return {
        "prompt": _prompt(project, row),
        "review": _choice(row, "review", REVIEWS) or ReviewState.PENDING,
        "created_at": _moment(row),
        "harmful": bool(_truth(row, "harmful")),
    }


def _prompt(project: Project, row: Row) -> ImportedPrompt:
    given = row.get("prompt")
    if given is None:
        raise Refused(_("There is no “prompt”. Found are: %(found)s.") % {"found": ", ".join(map(str, row)) or "–"})
    messages = given if isinstance(given, list) else [{"role": "user", "content": given}]
    kept = cleaned_messages(messages, longest=project.max_prompt_characters)
    split = _choice(row, "split", SPLITS)
    return ImportedPrompt(
        messages=kept, digest=digest_of(kept),
        kind=_choice(row, "kind", KINDS), use_case=_choice(row, "use_case", USE_CASES),
        language=_choice(row, "language", project.languages), split=Split(split) if split else None,
    )  # fmt: skip


def _completions(row: Row) -> list[Row]:
    entries = row.get("completions")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Refused(_("“completions” must be a list of objects with a “text” each."))
    if not MIN_K <= len(entries) <= MAX_K:
        raise Refused(
            _("There are %(found)d completions; expected %(least)d to %(most)d.")
            % {"found": len(entries), "least": MIN_K, "most": MAX_K}
        )
    return entries


def _completion(project: Project, entry: Row, *, rank: float | None = None) -> ImportedCompletion:
    rating = _number(entry, "rating")
    if rating is not None and rating not in range(1, 8):
        raise Refused(_("A rating is %(found)r; expected a whole number from 1 to 7.") % {"found": rating})
    flags = entry.get("flags")
    known = {flag["key"] for flag in project.flags}
    if flags is not None and not (
        isinstance(flags, dict) and flags.keys() <= known and set(flags.values()) <= {"yes", "no", "na"}
    ):
        raise Refused(_("The flags are %(found)r; expected yes, no or na for flags of the project.") % {"found": flags})
    return ImportedCompletion(
        text=_text(entry, "text"), model=_text(entry, "model", default=UNNAMED)[:LONGEST_NAME], rank=rank or 0,
        rating=None if rating is None else int(rating), flags=flags, acceptable=_truth(entry, "acceptable"),
    )  # fmt: skip


def _line(completions: Sequence[ImportedCompletion]) -> int | None:
    """How many ranks, from the best, are acceptable; None where the file draws no line."""
    above = {each.rank for each in completions if each.acceptable}
    below = {each.rank for each in completions if not each.acceptable}
    if all(each.acceptable is None for each in completions):
        return None
    if max(above, default=-1) >= min(below, default=math.inf):
        raise Refused(_("What is “acceptable” must stand above all that is not."))
    return len(above)


def _text(row: Row, name: str, *, default: str | None = None) -> str:
    value = row.get(name, default) if row.get(name) is not None else default
    if not isinstance(value, str):
        raise Refused(_("“%(name)s” is %(found)r; expected a text.") % {"name": name, "found": value})
    return storable(value)


def _truth(row: Row, name: str) -> bool | None:
    """A cell of a spreadsheet is a text, so "true" and "false" are understood too."""
    value = row.get(name)
    found = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if value is not None and not isinstance(found, bool):
        raise Refused(_("“%(name)s” is %(found)r; expected true or false.") % {"name": name, "found": value})
    return found


def _number(row: Row, name: str, *, required: bool = False) -> float | None:
    value: Any = row.get(name)
    if value is None and not required:
        return None
    try:
        number = float(value) if not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not 0 <= number < 1e12:
        raise Refused(_("“%(name)s” is %(found)r; expected a number from 0.") % {"name": name, "found": value})
    return number


def _choice(row: Row, name: str, expected: Sequence[str]) -> str | None:
    value: str | None = row.get(name)
    if value is not None and value not in expected:
        raise Refused(
            _("“%(name)s” is %(found)r; expected one of %(expected)s.")
            % {"name": name, "found": value, "expected": ", ".join(expected)}
        )
    return value


def _version(row: Row) -> int | None:
    number = _number(row, "guidelines")
    return None if number is None else int(number)


def _moment(row: Row) -> datetime | None:
    value = row.get("created_at")
    if value is None:
        return None
    try:
        moment = value if isinstance(value, datetime) else parse_datetime(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None:
        raise Refused(_("“created_at” is %(found)r; expected a date and time as in ISO 8601.") % {"found": value})
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
