"""Freezing: what people wrote becomes files with hashes, which never change again."""

from __future__ import annotations

import hashlib
import heapq
import json
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext as _

from annotation import editing, exporting, screening
from annotation.adding import batched
from annotation.models import Completion, Demonstration, Pool, Project, Prompt, Ranking, ReviewState, Split, User
from annotation.models.work import UNSEALED
from training import data_card, formats, parquet
from training.lineage import code_version, sha256_of
from training.models import Dataset

FILTERS = ("languages", "use_cases")
NEEDED = {"demonstrations.jsonl": 1, "rankings.jsonl": 1, "prompts.jsonl": 1}
CHUNK = 2_000
PAPERS_PROMPTS_PER_AUTHOR = 200
BEYOND_THE_CAP = "of prompts beyond the cap of their author"

Row = TypeVar("Row", Prompt, Demonstration, Ranking)
Judged = TypeVar("Judged", Demonstration, Ranking)
LeftOut = dict[str, Counter[str]]


class DatasetError(Exception):
    """No dataset can be made of what there is, or a dataset is not what it was; says what was found and expected."""


def freeze(
    project: Project,
    *,
    user: User | None,
    filters: Mapping[str, list[str]] | None = None,
    needed: Mapping[str, int] = NEEDED,
    prompts_per_author: int | None = None,
    without_gates: bool = False,
) -> Dataset:
    """A dataset of all that the project holds now. Refused, with counts, where a file would have less than `needed`.

    Training prompts and held-out ones are apart by their authors; rankings train the reward model only where the
    prompt is in its pool, and PPO gets the prompts of the other. Of no author are there more than
    `prompts_per_author`, the first ones; prompts that came in files without an author are all kept. What was judged at
    gates is held out as its prompts are, and left out altogether with `without_gates`.
    """
    filters = dict(filters or {})
    if unknown := sorted(filters.keys() - set(FILTERS)):
        raise DatasetError(f"Unknown filters: {', '.join(unknown)}. Known are {', '.join(FILTERS)}.")
    if prompts_per_author is not None and prompts_per_author < 1:
        raise DatasetError(f"prompts_per_author is {prompts_per_author}; expected a whole number from 1, or none.")
    root = Path(settings.DATA) / "datasets"
    draft = root / f".{uuid.uuid4().hex}.part"
    draft.mkdir(parents=True)
    try:
        with editing.closed(project):
            frozen = _Freeze(project, filters, prompts_per_author, without_gates=without_gates)
            files = {name: write_rows(draft / name, rows) for name, rows in frozen.files().items()}
            _refuse_if_too_little(files, needed, frozen.left_out)
            for name, source in parquet.sources().items():
                files[name] = parquet.write(draft / name, draft / source, name=name)
            return _keep(draft, project, user=user, files=files, frozen=frozen)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def verify(dataset: Dataset) -> None:
    """Raise DatasetError unless every file is what it was when it was frozen."""
    for name, recorded in dataset.files.items():
        path = dataset.folder / name
        if not path.is_file():
            raise DatasetError(
                f"{path} is missing. A dataset never changes: put the file back, or freeze a new dataset."
            )
        if sha256_of(path) != recorded["sha256"]:
            raise DatasetError(
                f"{path} has changed since it was frozen. Put the old file back, or freeze a new dataset."
            )


def sample_rows(dataset: Dataset | None, name: str, *, count: int) -> list[dict[str, Any]]:
    """At most `count` rows of a file, chosen by their hash: as arbitrary as a draw, and the same every time."""
    if dataset is None or not dataset.counts.get(name):
        return []
    with (dataset.folder / f"{name}.jsonl").open("rb") as file:
        chosen = heapq.nsmallest(count, file, key=lambda line: hashlib.sha256(line).digest())
    return [json.loads(line) for line in chosen]


def discard(dataset: Dataset) -> None:
    """Remove a dataset that nothing has used."""
    folder = dataset.folder
    dataset.delete()
    shutil.rmtree(folder)


def write_rows(path: Path, rows: Iterable[Any]) -> dict[str, Any]:
    """Write JSON lines; what a Dataset records of a file."""
    digest, count, size = hashlib.sha256(), 0, 0
    with path.open("wb") as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            file.write(line)
            digest.update(line)
            count, size = count + 1, size + len(line)
    path.chmod(0o444)
    return {"sha256": digest.hexdigest(), "rows": count, "bytes": size}


class _Freeze:
    """One look at a project: nothing that comes in while the files are written is in some of them and not in others."""

    def __init__(
        self,
        project: Project,
        filters: Mapping[str, list[str]],
        prompts_per_author: int | None,
        *,
        without_gates: bool,
    ) -> None:
        self.project = project
        self.guidelines: dict[str, Counter[str]] = {"demonstrations": Counter(), "rankings": Counter()}
        self.left_out: LeftOut = {"prompts": Counter(), "demonstrations": Counter(), "rankings": Counter()}
        up_to = _latest_ids(project)
        self.filters: dict[str, Any] = {**filters, "up_to": up_to}
        prompts = Prompt.objects.filter(project=project, id__lte=up_to["prompts"])
        for name, column in (("languages", "language__in"), ("use_cases", "use_case__in")):
            if wanted := filters.get(name):
                prompts = prompts.filter(**{column: wanted})
        self.left_out["prompts"]["rejected by review"] = prompts.filter(review=ReviewState.REJECTED).count()
        elsewhere = Prompt.objects.filter(project=project, digest=OuterRef("digest")).exclude(split=Split.TRAIN)
        leaking = prompts.filter(Exists(elsewhere), split=Split.TRAIN)
        self.left_out["prompts"]["same text in a held-out split"] = leaking.count()
        qualified = screening.qualified(project)
        usable = self._by(qualified, "author", prompts.usable().exclude(id__in=leaking.values("id")))
        beyond = _beyond_the_cap(usable, prompts_per_author)
        self.prompts = usable.exclude(id__in=beyond)
        self.left_out["prompts"][BEYOND_THE_CAP] = len(beyond)
        if prompts_per_author is not None:
            self.filters["prompts_per_author"] = prompts_per_author
        demonstrations = self._of_prompts(usable, beyond, Demonstration.objects.filter(id__lte=up_to["demonstrations"]))
        self.demonstrations = self._by(qualified, "author", demonstrations)
        rankings = self._of_prompts(usable, beyond, Ranking.objects.filter(id__lte=up_to["rankings"]))
        sealed = rankings.exclude(UNSEALED)
        self.left_out["rankings"]["at a gate that is not decided"] = sealed.count()
        rankings = rankings.filter(UNSEALED)
        if without_gates:
            self.filters["without_gates"] = True
            at_gates = rankings.filter(assignment__item__gate_pair__isnull=False)
            self.left_out["rankings"]["judged at gates"] = at_gates.count()
            rankings = rankings.exclude(pk__in=at_gates.values("pk"))
        aside = rankings.filter(assignment__in=screening.asides(project).values("pk"))
        self.left_out["rankings"]["qualification, gold and repeats"] = aside.count()
        self.rankings = self._by(qualified, "annotator", rankings.exclude(pk__in=aside.values("pk")))

    def _by(self, qualified: set[int] | None, who: str, rows: QuerySet[Row]) -> QuerySet[Row]:
        """Without what people did who have not qualified. Nobody asks that of rows that came in files."""
        if qualified is None:
            return rows
        others = rows.exclude(**{who: None}).exclude(**{f"{who}__in": qualified})
        self.left_out[f"{rows.model._meta.model_name}s"]["by people who have not qualified"] = others.count()
        return rows.exclude(pk__in=others.values("pk"))

    def _of_prompts(self, usable: QuerySet[Prompt], beyond: list[int], rows: QuerySet[Judged]) -> QuerySet[Judged]:
        """The rows of the prompts chosen. Those of prompts beyond the cap are counted."""
        rows = rows.filter(prompt__in=usable.values("id"))
        others = rows.filter(prompt__in=beyond)
        self.left_out[f"{rows.model._meta.model_name}s"][BEYOND_THE_CAP] = others.count() if beyond else 0
        return rows.exclude(prompt__in=beyond)

    def files(self) -> dict[str, Iterator[Any]]:
        train, held_out = {"prompt__split": Split.TRAIN}, {"prompt__split__in": [Split.VALIDATION, Split.TEST]}
        prompts = self.prompts.filter(split=Split.TRAIN, pool=Pool.POLICY)
        tested = self.prompts.exclude(split=Split.TRAIN)
        reward = self.rankings.filter(**train, prompt__pool=Pool.REWARD)
        unused = self.rankings.filter(**train).exclude(prompt__pool=Pool.REWARD)
        self.left_out["rankings"]["of prompts kept for PPO"] = unused.count()
        return {
            "instructions.jsonl": (formats.instruction_row(self.project, prompt) for prompt in _read(self.prompts)),
            "demonstrations.jsonl": self._demonstrations(self.demonstrations.filter(**train)),
            "demonstrations_held_out.jsonl": self._demonstrations(self.demonstrations.filter(**held_out)),
            "rankings.jsonl": self._rankings(reward),
            "rankings_held_out.jsonl": self._rankings(self.rankings.filter(**held_out)),
            "prompts.jsonl": self._prompts(prompts),
            "prompts_held_out.jsonl": self._prompts(tested),
        }

    def _prompts(self, prompts: QuerySet[Prompt]) -> Iterator[formats.PromptRow]:
        seen: set[str] = set()
        for prompt in _read(prompts):
            if prompt.digest in seen:
                self.left_out["prompts"]["repeats"] += 1
                continue
            seen.add(prompt.digest)
            yield formats.prompt_row(prompt)

    def _demonstrations(self, demonstrations: QuerySet[Demonstration]) -> Iterator[formats.DemonstrationRow]:
        seen: set[tuple[str, str]] = set()
        for demonstration in _read(demonstrations.select_related("prompt", "guidelines")):
            key = (demonstration.prompt.digest, hashlib.sha256(demonstration.text.encode()).hexdigest())
            if demonstration.review == ReviewState.REJECTED:
                self.left_out["demonstrations"]["rejected by review"] += 1
            elif key in seen:
                self.left_out["demonstrations"]["repeats"] += 1
            else:
                seen.add(key)
                self._note_guidelines(demonstration)
                yield formats.demonstration_row(self.project, demonstration)

    def _rankings(self, rankings: QuerySet[Ranking]) -> Iterator[formats.RankingRow]:
        for chunk in batched(_read(rankings.select_related("prompt", "guidelines")), CHUNK):
            ids = {completion for ranking in chunk for group in ranking.groups for completion in group}
            made = Completion.objects.filter(id__in=ids).values_list("id", "text", "generator__name")
            outputs = {pk: formats.Output(text, model) for pk, text, model in made}
            for ranking in chunk:
                if ranking.review == ReviewState.REJECTED:
                    self.left_out["rankings"]["rejected by review"] += 1
                elif len(ranking.groups) < 2:
                    self.left_out["rankings"]["all outputs tied"] += 1
                else:
                    self._note_guidelines(ranking)
                    yield formats.ranking_row(self.project, ranking, outputs)

    def _note_guidelines(self, record: Demonstration | Ranking) -> None:
        version = exporting.guidelines_of(record)
        self.guidelines[f"{record._meta.model_name}s"]["unknown" if version is None else str(version)] += 1


def _latest_ids(project: Project) -> dict[str, int]:
    sets: dict[str, QuerySet[Any]] = {
        "prompts": Prompt.objects.filter(project=project),
        "demonstrations": Demonstration.objects.filter(prompt__project=project),
        "rankings": Ranking.objects.filter(prompt__project=project),
    }
    return {name: rows.aggregate(latest=Max("id"))["latest"] or 0 for name, rows in sets.items()}


def _read(rows: QuerySet[Any]) -> Iterator[Any]:
    return rows.order_by("id").iterator(chunk_size=CHUNK)


def _beyond_the_cap(prompts: QuerySet[Prompt], cap: int | None) -> list[int]:
    """What each author wrote after their first `cap` prompts: the same ones are kept as the project grows."""
    if cap is None:
        return []
    place = Window(RowNumber(), partition_by=F("author"), order_by=F("id").asc())
    written = prompts.exclude(author=None).annotate(place=place)
    return list(written.filter(place__gt=cap).values_list("id", flat=True))


def _refuse_if_too_little(files: Mapping[str, Any], needed: Mapping[str, int], left_out: LeftOut) -> None:
    missing = [
        f"{name.removesuffix('.jsonl')}: {files[name]['rows']} found, {least} needed"
        for name, least in needed.items()
        if files[name]["rows"] < least
    ]
    if not missing:
        return
    reasons = "; ".join(
        f"{kind} left out: {', '.join(f'{count} {reason}' for reason, count in counts.items() if count)}"
        for kind, counts in left_out.items()
        if any(counts.values())
    )
    raise DatasetError(
        _("There is too little to train on: {missing}. Only training prompts count, and rankings only of prompts that "
          "feed the reward model. {reasons} Collect more, then start a new round.").format(
            missing="; ".join(missing), reasons=f"({reasons})." if reasons else ""
        )
    )  # fmt: skip


def counts_of(files: Mapping[str, Any]) -> dict[str, int]:
    """Rows of the JSON lines: the other files hold the same or what follows from them."""
    return {name.removesuffix(".jsonl"): file["rows"] for name, file in files.items() if name.endswith(".jsonl")}


def hash_of(files: Mapping[str, Any]) -> str:
    """Over the JSON lines, which the other files follow from: equal rows have it, whatever wrote the Parquet."""
    hashes = {name: files[name]["sha256"] for name in sorted(files) if name.endswith(".jsonl")}
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()


def _keep(draft: Path, project: Project, *, user: User | None, files: dict[str, Any], frozen: _Freeze) -> Dataset:
    with transaction.atomic():
        dataset = Dataset.objects.create(
            project=project,
            files=files,
            counts=counts_of(files),
            left_out={kind: dict(+counts) for kind, counts in frozen.left_out.items() if +counts},
            filters=frozen.filters,
            guidelines={kind: dict(counts) for kind, counts in frozen.guidelines.items() if counts},
            sha256=hash_of(files),
            code_version=code_version(),
            created_by=user,
        )
        data_card.write(draft, dataset)
        # A crash of the database can take a row whose folder was there already, and give its number out again.
        shutil.rmtree(dataset.folder, ignore_errors=True)
        draft.rename(dataset.folder)
    return dataset
