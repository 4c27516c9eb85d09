"""What has to hold after every fault. Each check gives the sentences that say what does not."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from annotation.models import Assignment, AssignmentState, Completion, Demonstration, Item, Prompt, Ranking
from tests.faults.installation import Installation
from tests.faults.people import Client, Piece
from training import datasets, registry
from training.models import Dataset, Policy, RewardModel, RunState, Stage, TrainingRun

RECORDS: dict[str, type[Any]] = {"instruction": Prompt, "demonstration": Demonstration, "ranking": Ranking}
PATIENCE = 180.0
CHUNK = 500
RELEASED_WITHIN = 60.0  # a sweep comes every four seconds here, where the machine is not busy with other things
ORPHANS_END = 90.0  # a trainer whose worker is gone ends within ten, an interpreter that warms up once it has imported

T = TypeVar("T")


def patiently(ask: Callable[[], T]) -> T:
    """The answer of a database that may be away for a while."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except (DatabaseError, InterfaceError):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def submissions(pieces: Sequence[Piece]) -> Iterator[str]:
    """Every accepted piece is there, once, as it was sent."""
    for first in range(0, len(pieces), CHUNK):
        batch = pieces[first : first + CHUNK]
        asked = [piece.assignment for piece in batch]
        rows = Assignment.objects.in_bulk(asked)
        records: dict[int, list[Any]] = {assignment: [] for assignment in asked}
        for model in RECORDS.values():
            for record in model.objects.filter(assignment__in=asked):
                records[record.assignment_id].append(record)
        for piece in batch:
            yield from _piece(piece, rows.get(piece.assignment), records[piece.assignment])


def _piece(piece: Piece, row: Assignment | None, records: Sequence[Any]) -> Iterator[str]:
    if row is None or row.state != AssignmentState.SUBMITTED or str(row.client_key) != piece.client_key:
        found = f"{row.state} with {row.client_key}" if row else "gone"
        yield f"{piece.kind} {piece.assignment} was accepted and is {found}"
    if len(records) != 1:
        yield f"{piece.kind} {piece.assignment} was accepted and is there {len(records)} times"
    elif not isinstance(records[0], RECORDS[piece.kind]) or not _is_as_sent(piece, records[0]):
        yield f"{piece.kind} {piece.assignment} is not as it was sent"


def _is_as_sent(piece: Piece, record: Any) -> bool:
    if piece.kind == "ranking":
        return bool(record.note == piece.content["note"]) and len(record.groups) == len(piece.content["groups"])
    name = "text" if piece.kind == "demonstration" else "messages"
    return bool(getattr(record, name) == piece.content[name])


def counted_once(pieces: Sequence[Piece]) -> Iterator[str]:
    """All that is there was sent, once each: asked for while nobody works and everything sent was answered."""
    sent = Counter(piece.kind for piece in pieces)
    for kind, model in RECORDS.items():
        found = model.objects.exclude(assignment=None).count()
        if found != sent[kind]:
            yield f"{found} records of kind {kind} are there, {sent[kind]} were sent"


def slots() -> Iterator[str]:
    """Each slot of a piece is open or held by one."""
    rows = Item.objects.exclude(kind="instruction").prefetch_related("assignments").iterator(chunk_size=2_000)
    for item in rows:
        live = [each.slot for each in item.assignments.all() if each.state in ("leased", "submitted")]
        if sorted([*item.open_slots, *live]) != list(range(1, item.overlap + 1)):
            yield f"item {item.pk} has the open slots {item.open_slots} and the held ones {live} of {item.overlap}"


def stuck_leases() -> Iterator[str]:
    """Whose time ran out is let go by the sweep: asked while all is well, so that it only has to come by."""
    stuck = Assignment.objects.filter(state=AssignmentState.LEASED, lease_expires_at__lt=timezone.now())
    deadline = time.monotonic() + RELEASED_WITHIN
    while (left := list(stuck.all())) and time.monotonic() < deadline:
        time.sleep(0.2)
    for row in left:
        yield f"assignment {row.pk} is leased though its time ran out at {row.lease_expires_at}"


def what_is_visible() -> Iterator[str]:
    """Every dataset and model that a row tells of is whole."""
    for dataset in Dataset.objects.all():
        try:
            datasets.verify(dataset)
        except datasets.DatasetError as error:
            yield str(error)
    for model in (*Policy.objects.exclude(path=""), *RewardModel.objects.exclude(path="")):
        try:
            registry.check_folder(model.folder)
        except (registry.ModelError, OSError) as error:
            yield f"{model.name}: {error}"


def ended_well(run: TrainingRun, expected: dict[str, str]) -> Iterator[str]:
    """What a run that was disturbed has made is entered once, and of one outside of rounds, whose data are always the
    same, it is to the bit what an undisturbed run makes.
    """
    if run.round_id is None and (found := weights(run)) != expected[run.stage]:
        yield f"{run} made {found}; undisturbed it makes {expected[run.stage]}"
    if run.stage == Stage.SAMPLE:
        told, there = run.result["queued"]["completions"], Completion.objects.filter(sampling__run=run.pk).count()
        if told != there:
            yield f"{run} put {told} outputs in the queue, and {there} are there"
    if run.stage in (Stage.SFT, Stage.REWARD_MODEL):
        entered = Policy.objects.filter(run=run).count() + RewardModel.objects.filter(run=run).count()
        if entered != 1:
            yield f"{run} is in the registry {entered} times"
        steps = {json.loads(line)["step"] for line in (run.output / "metrics.jsonl").read_text().splitlines()}
        if steps != set(range(1, max(steps) + 1)):
            yield f"the curve of {run} has gaps"


def weights(run: TrainingRun) -> str:
    return hashlib.sha256(Path(run.folder / "model" / "model.safetensors").read_bytes()).hexdigest()


def said_to_be_running() -> Iterator[str]:
    """A run that nobody carries out is taken over in time."""
    silent = timezone.now() - timedelta(seconds=120)
    for run in TrainingRun.objects.filter(state=RunState.RUNNING, heartbeat_at__lt=silent):
        yield f"{run} is said to be running, and nobody has been at it since {run.heartbeat_at}"


def export(client: Client, before: Sequence[Piece]) -> Iterator[str]:
    """What comes as a whole file holds all that had been accepted before it was asked for."""
    wanted = {piece.content["text"] for piece in before if piece.kind == "demonstration"}
    try:
        answer = httpx.get(
            f"{client.address}/api/v1/projects/capitals/export/demonstrations.jsonl", headers=client.headers, timeout=60
        )
    except httpx.HTTPError:
        return  # cut short, and seen to be
    if answer.status_code == 200:
        rows = [json.loads(line) for line in answer.text.splitlines()]
        if missing := wanted - {value for row in rows for value in row.values() if isinstance(value, str)}:
            yield f"an export of {len(rows)} rows that looked whole lacks {len(missing)} accepted answers"


class Orphans:
    """Processes whose parents are gone, and since when they have been seen."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], float] = {}

    def late(self, there: Installation) -> Iterator[str]:
        now = time.monotonic()
        found = {}
        for process in there.orphans():
            try:
                key = (process.pid, process.create_time())
                line = " ".join(process.cmdline())
            except psutil.Error:  # it has just ended
                continue
            found[key] = self._seen.get(key, now)
            if now - found[key] > ORPHANS_END:
                yield f"process {process.pid} has been without a parent for {now - found[key]:.0f} s: {line}"
        self._seen = found
