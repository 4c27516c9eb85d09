"""Rounds of faults: people work and runs go on, something is killed, all is well again, everything is looked at."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.faults import breaking, checking, scene
from tests.faults.checking import patiently
from tests.faults.installation import Installation
from tests.faults.people import Annotator, Client, Ledger
from training import rounds, runs
from training.models import Round, RoundState, RunState, TrainingRun

MOMENTS = (0.2, 2.0)
TWO_AT_ONCE = 0.2
BREATH, BREATH_SECONDS = 6, 60.0
END_SECONDS = 600.0
# Ends that a person may mend.
HONEST = ("ended by SIGKILL", "fell silent", "No space left", "are free", "No space", "the disk is probably full")


@dataclass
class Row:
    """One line of the table."""

    rounds: int = 0
    made: int = 0
    accepted: int = 0
    runs_ended: int = 0
    violations: int = 0
    recovery: list[float] = field(default_factory=list)


@dataclass
class Outcome:
    seed: int
    rows: dict[str, Row] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    repeated: int = 0
    retried: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "rows": {name: vars(row) for name, row in self.rows.items()}}


class Campaign:
    """`tell` gets a line a round."""

    def __init__(self, there: Installation, *, seed: int, tell: Callable[[str], None]) -> None:
        self.there, self.tell = there, tell
        self.chance = random.Random(seed)
        self.outcome = Outcome(seed)
        self.ledger, self.day_ends, self.given_up = Ledger(), threading.Event(), threading.Event()
        self.orphans = checking.Orphans()
        self.looked_at = 0
        self.concluded: set[int] = set()
        self.fed = 0

    def run(self, count: int, *, kinds: Iterable[str], stages: Sequence[str]) -> Outcome:
        began = time.monotonic()
        wanted = list(kinds)
        self.outcome.left_out = {name: reason for name in wanted if (reason := breaking.why_not(name, self.there.data))}
        faults = [name for name in wanted if name not in self.outcome.left_out]
        self.there.wait_until_well()
        self.scene = scene.build()
        self.expected = {stage: self._undisturbed(stage) for stage in stages}
        people = self._begin_the_day()
        with suppress(KeyboardInterrupt):  # Ctrl-C ends it early, with all that is looked at in the end
            for number in range(count):
                if number % len(faults) == 0:
                    self.chance.shuffle(faults)
                self._round(number, faults[number % len(faults)], faults)
        self._end_the_day(people)
        self.outcome.repeated = self.ledger.repeated
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def _undisturbed(self, stage: str) -> str:
        run = self.scene.start(stage)
        deadline = time.monotonic() + END_SECONDS
        while not run.is_final:
            assert time.monotonic() < deadline, f"{run} does not end, though nothing disturbs it"
            time.sleep(0.2)
            run.refresh_from_db()
        assert run.state == RunState.SUCCEEDED, run.error
        self.concluded.add(run.pk)
        return checking.weights(run)

    def _begin_the_day(self) -> list[Annotator]:
        self.client = self._client("rosa")
        people = []
        for name in scene.ANNOTATORS:
            person = Annotator(self._client(name), seed=self.chance.getrandbits(32), day_ends=self.day_ends)
            person.start()
            people.append(person)
        return people

    def _client(self, name: str) -> Client:
        return Client(self.there.address, self.scene.tokens[name], self.ledger, until=self.given_up)

    def _round(self, number: int, kind: str, faults: list[str]) -> None:
        row = self.outcome.rows.setdefault(kind, Row())
        made, accepted, ended = len(self.ledger.pieces), len(self.ledger.accepted), sum(self.outcome.ended.values())
        if number % BREATH == BREATH - 1:
            self._let_one_end()
        patiently(self._keep_busy)
        patiently(self.scene.take_and_leave)
        time.sleep(self.chance.uniform(*MOMENTS))
        told = breaking.FAULTS[kind](self.there, self.chance)
        if self.chance.random() < TWO_AT_ONCE:
            other = self.chance.choice([name for name in faults if name != "disk full"])
            told += f"; {other}: {breaking.FAULTS[other](self.there, self.chance)}"
        began, never_well = time.monotonic(), list[str]()
        try:
            self.there.wait_until_well()
        except AssertionError as error:
            never_well = [str(error)]
            self.there.up.process.kill()
            self.there.start_again()
            self.there.wait_until_well()
        recovery = time.monotonic() - began
        violations = never_well + patiently(lambda: list(self._violations()))
        row.rounds += 1
        row.made += len(self.ledger.pieces) - made
        row.accepted += len(self.ledger.accepted) - accepted
        row.runs_ended += sum(self.outcome.ended.values()) - ended
        row.violations += len(violations)
        row.recovery.append(round(recovery, 1))
        self.outcome.violations += [f"round {number}, {kind}: {each}" for each in violations]
        self.tell(
            f"{number:4} {kind} ({told}); well after {recovery:.1f} s, {len(self.ledger.accepted)} accepted, "
            f"{sum(self.outcome.ended.values())} runs ended"
        )
        for each in violations:
            self.tell(f"     VIOLATION {each}")

    def _let_one_end(self) -> None:
        """A while without faults, in which what was disturbed gets to its end by itself."""
        deadline, ended = time.monotonic() + BREATH_SECONDS, sum(self.outcome.ended.values())
        while sum(self.outcome.ended.values()) == ended and time.monotonic() < deadline:
            patiently(self._keep_busy)
            found = patiently(lambda: list(self._conclude_runs()))
            self.outcome.violations += [f"between faults: {each}" for each in found]
            time.sleep(0.2)

    def _violations(self) -> Iterable[str]:
        accepted = self.ledger.accepted
        yield from checking.submissions(accepted[self.looked_at :])
        yield from checking.stuck_leases()
        yield from checking.what_is_visible()
        yield from checking.said_to_be_running()
        yield from checking.export(self.client, accepted)
        yield from self.orphans.late(self.there)
        yield from self._conclude_runs()
        wrong, self.ledger.wrong = self.ledger.wrong, []
        yield from wrong
        self.looked_at = len(accepted)

    def _keep_busy(self) -> None:
        """There is always a run to be disturbed: those of known weights by turns, and now and then a whole round."""
        if TrainingRun.objects.active().exists() or Round.objects.filter(state=RoundState.RUNNING).exists():
            return
        turn, self.fed = self.fed, self.fed + 1
        if turn % scene.EVERY == scene.EVERY - 1:
            self.scene.start_round()
        else:
            self.scene.start(list(self.expected)[turn % len(self.expected)])

    def _conclude_runs(self) -> Iterable[str]:
        """What has ended is compared; what has failed by a kill too many or a full disk is tried again by a person."""
        for run in TrainingRun.objects.exclude(pk__in=self.concluded).filter(state__in=[RunState.FAILED, "succeeded"]):
            if run.state == RunState.SUCCEEDED:
                found = list(checking.ended_well(run, self.expected))
                self.concluded.add(run.pk)
                self.outcome.ended[run.stage] += 1
                yield from found
            elif not any(reason in run.error for reason in HONEST):
                yield f"{run} failed, which no disturbance excuses: {run.error}"
                self.concluded.add(run.pk)
            elif run.round_id is None:
                self.outcome.retried[run.error.splitlines()[0][:60]] += 1
                runs.retry(run)
        for round in Round.objects.filter(state=RoundState.FAILED):
            self.outcome.retried[f"round: {round.error.splitlines()[0][:60]}"] += 1
            if not any(reason in round.error for reason in HONEST):
                yield f"{round} failed, which no disturbance excuses: {round.error}"
            rounds.retry(round)

    def _end_the_day(self, people: list[Annotator]) -> None:
        self.day_ends.set()
        for person in people:
            person.join(checking.PATIENCE)
        violations = [f"{person.name} never got an answer" for person in people if person.is_alive()]
        violations += [f"an annotator's client failed: {person.broke!r}" for person in people if person.broke]
        self.given_up.set()
        violations += self._come_to_an_end()
        everything = self.ledger.accepted
        violations += patiently(lambda: list(checking.submissions(everything)))
        violations += patiently(lambda: list(checking.counted_once(self.ledger.pieces)))
        violations += patiently(lambda: list(checking.slots()))
        violations += patiently(lambda: list(self._violations()))
        violations += [f"left after stopping: {line}" for line in self.there.stop()]
        self.outcome.violations += [f"at the end: {each}" for each in violations]

    def _come_to_an_end(self) -> list[str]:
        """All runs and rounds end by themselves, or are tried again where they ended honestly."""
        violations: list[str] = []
        deadline = time.monotonic() + END_SECONDS
        while patiently(self._unfinished):
            if time.monotonic() > deadline:
                return [*violations, f"after {END_SECONDS:.0f} s there is still: {patiently(self._unfinished)}"]
            violations += patiently(lambda: list(self._conclude_runs()))
            time.sleep(0.5)
        return violations + patiently(lambda: list(self._conclude_runs()))

    def _unfinished(self) -> list[str]:
        going = [f"{run}: {run.state}" for run in TrainingRun.objects.active()]
        failed = TrainingRun.objects.filter(state=RunState.FAILED).exclude(pk__in=self.concluded)
        going += [f"{run}: {run.state}" for run in failed if run.round_id is None]
        return going + [f"{each}: {each.state}" for each in Round.objects.filter(state__in=["running", "failed"])]
