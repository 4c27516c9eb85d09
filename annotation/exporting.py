"""Data out of a project, streamed from a server-side cursor. Annotators have pseudonyms, stable within the project."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import combinations
from typing import Any

from django.db.models import Prefetch, Q, QuerySet, TextField
from django.db.models.functions import Cast, JSONObject
from django.utils.crypto import salted_hmac
from orjson import loads as from_json

from annotation import formats, prepared
from annotation.adding import batched
from annotation.formats import FORMATS, Row
from annotation.models import Demonstration, Guidelines, Project, Prompt, Ranking
from annotation.models.texts import as_column
from annotation.models.work import ranks_of

__all__ = ["FORMATS", "KINDS", "comparison_rows", "demonstration_rows", "instruction_rows", "ranking_rows", "stream"]

CHUNK = 500
PSEUDONYM = re.compile(r"annotator-[0-9a-f]{12}")
# Each of them once a chunk, not once a row, and without what is long and in no file.
REFERRED = (
    Prefetch("prompt", Prompt.objects.defer("bands")),
    Prefetch("guidelines", Guidelines.objects.defer("text")),
)
Work = Prompt | Demonstration | Ranking
Told = Callable[[int], None]
Output = tuple[str, str]  # a completion's text, and the name of the generator that wrote it
ABOUT_THE_PROMPT = ("language", "use_case", "kind", "split", "pool", "harmful")
COLUMNS: dict[str, Sequence[str]] = {
    "instructions": ("prompt", *ABOUT_THE_PROMPT, "author", "review", "created_at"),
    "demonstrations": ("prompt", "completion", *ABOUT_THE_PROMPT, "author", "guidelines", "review", "created_at"),
    "rankings": (
        "prompt", "completions", *ABOUT_THE_PROMPT, "annotator", "guidelines", "note", "seconds", "review",
        "created_at",
    ),
    "comparisons": (
        "prompt", "chosen", "rejected", "chosen_model", "rejected_model", *ABOUT_THE_PROMPT, "annotator", "ranking",
    ),
}  # fmt: skip
KINDS = tuple(COLUMNS)
OF_A_RANKING = (
    "pk", "shown", "acceptable", "annotator_id", "note", "seconds", "review", "created_at", "guidelines__version",
    *(f"prompt__{name}" for name in ABOUT_THE_PROMPT),
)  # fmt: skip
OUTPUTS = """
select made.id, made.text, generator.name
from annotation_completion made join annotation_generator generator on generator.id = made.generator_id
where made.id = any(%s::bigint[])
"""
# Of a ranking too: in one text, since reading six takes as long as all the rest.
JSON = JSONObject(
    groups="groups", twins="twins", ratings="ratings", flags="flags", origin="origin", messages="prompt__messages"
)


def stream(project: Project, kind: str, form: str, *, tell: Told | None = None) -> Iterator[bytes]:
    """The file, in pieces. `kind` of KINDS, `form` of FORMATS; `tell` hears now and then how many records are read."""
    rows = {
        "instructions": instruction_rows,
        "demonstrations": demonstration_rows,
        "rankings": ranking_rows,
        "comparisons": comparison_rows,
    }
    return formats.write(rows[kind](project, tell=tell), COLUMNS[kind], form)


def count(project: Project, kind: str) -> int:
    """How many records are read for a file; comparisons follow from rankings, several from each."""
    if kind == "instructions":
        return Prompt.objects.filter(project=project).count()
    of_prompts = Demonstration.objects if kind == "demonstrations" else Ranking.objects
    return of_prompts.filter(prompt__project=project).count()


def instruction_rows(project: Project, *, only: Q | None = None, tell: Told | None = None) -> Iterator[Row]:
    for prompt in _read(Prompt.objects.filter(project=project).defer("bands"), only, tell):
        yield {
            **_about(prompt), "author": signature(project, prompt),
            "review": prompt.review, "created_at": prompt.created_at.isoformat(),
        }  # fmt: skip


def demonstration_rows(project: Project, *, only: Q | None = None, tell: Told | None = None) -> Iterator[Row]:
    demonstrations = Demonstration.objects.filter(prompt__project=project).prefetch_related(*REFERRED)
    for demonstration in _read(demonstrations, only, tell):
        yield {
            **_about(demonstration.prompt), "completion": demonstration.text, "review": demonstration.review,
            "author": signature(project, demonstration), "guidelines": guidelines_of(demonstration),
            "created_at": demonstration.created_at.isoformat(),
        }  # fmt: skip


def ranking_rows(project: Project, *, only: Q | None = None, tell: Told | None = None) -> Iterator[Row]:
    """Each ranking with its completions in the order shown, then the twins that were not. Lower ranks are better."""
    known_as = cache(partial(pseudonym, project))
    own = Ranking.objects.filter(prompt__project=project).annotate(json=Cast(JSON, TextField()))
    for batch in batched(_read(own.values_list("json", *OF_A_RANKING, named=True), only, tell), CHUNK):
        read = [(ranking, from_json(ranking.json)) for ranking in batch]
        listed = {pk for ranking, json in read for pk in (*ranking.shown, *map(int, json["twins"]))}
        outputs = {pk: (text, model) for pk, text, model in prepared.rows(OUTPUTS, [list(listed)])}
        for ranking, json in read:
            yield {
                "prompt": as_column(json["messages"]),
                **{name: getattr(ranking, f"prompt__{name}") for name in ABOUT_THE_PROMPT},
                "completions": _completions(ranking, json, outputs),
                "annotator": json["origin"].get("annotator") or known_as(ranking.annotator_id),
                "guidelines": ranking.guidelines__version or json["origin"].get("guidelines"),
                "note": ranking.note,
                "seconds": ranking.seconds,
                "review": ranking.review,
                "created_at": ranking.created_at.isoformat(),
                "ranking": ranking.pk,
            }


def comparison_rows(project: Project, *, only: Q | None = None, tell: Told | None = None) -> Iterator[Row]:
    """The pairs that follow from the rankings. A tie gives none, and neither does a set of which nothing is acceptable:
    the less bad of two is no answer to learn. The rankings hold those too.
    """
    only = (only or Q()) & ~Q(acceptable=0)
    for row in ranking_rows(project, only=only, tell=tell):
        for pair in combinations(row["completions"], 2):
            better, worse = sorted(pair, key=lambda completion: int(completion["rank"]))
            if better["rank"] < worse["rank"]:
                yield row | {
                    "chosen": better["text"], "rejected": worse["text"],
                    "chosen_model": better["model"], "rejected_model": worse["model"],
                }  # fmt: skip


def pseudonym(project: Project, person: int | str | None) -> str | None:
    """The same for one person throughout a project, another in every other; it changes with SECRET_KEY."""
    if person is None:
        return None
    digest = salted_hmac("annotation.exporting.pseudonym", f"{project.pk}:{person}", algorithm="sha256").hexdigest()
    return f"annotator-{digest[:12]}"


def signature(project: Project, record: Work) -> str | None:
    """Whose it is: the name in the file that brought it, or else a pseudonym."""
    named = record.origin.get("annotator")
    return named or pseudonym(project, record.annotator_id if isinstance(record, Ranking) else record.author_id)


def guidelines_of(record: Demonstration | Ranking) -> int | None:
    """The version of the guidelines that it was done under: of those of the project it came from, if from a file."""
    version: int | None = record.guidelines.version if record.guidelines else record.origin.get("guidelines")
    return version


def _completions(ranking: Any, json: Row, outputs: dict[int, Output]) -> list[Row]:
    twins, ranks, completions = json["twins"], ranks_of(json["groups"], json["twins"]), []
    for pk in (*ranking.shown, *map(int, twins)):
        shown, rank, (text, model) = str(twins.get(str(pk), pk)), ranks[pk], outputs[pk]
        row: Row = {"text": text, "rank": rank, "model": model}
        if shown in json["ratings"]:
            row["rating"] = json["ratings"][shown]
        if shown in json["flags"]:
            row["flags"] = json["flags"][shown]
        if ranking.acceptable is not None:
            row["acceptable"] = rank <= ranking.acceptable
        completions.append(row)
    return completions


def _about(prompt: Prompt) -> Row:
    return {"prompt": prompt.as_column()} | {name: getattr(prompt, name) for name in ABOUT_THE_PROMPT}


def _read(rows: QuerySet[Any], only: Q | None, tell: Told | None) -> Iterator[Any]:
    chosen = rows if only is None else rows.filter(only)
    for number, record in enumerate(chosen.order_by("pk").iterator(chunk_size=CHUNK), start=1):
        yield record
        if tell and number % CHUNK == 0:
            tell(number)
