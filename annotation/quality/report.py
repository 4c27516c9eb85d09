"""All figures of a project's quality page, from plain data: overall, by annotator, by pair, by use case, by week."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from annotation.quality.agreement import Agreement, Shared, agreement, alpha_with_others, krippendorff_alpha, shared
from annotation.quality.judgements import Judgement, Who
from annotation.quality.signals import (
    Position,
    Written,
    agreement_with,
    median_seconds,
    mostly_pasted,
    position_bias,
    self_consistency,
    straight_lined,
)

PAIRS_SHOWN = 30
WEEKS_SHOWN = 26
ENOUGH = 10  # rankings below which nothing stands out
STRAIGHT = 0.1  # a share of straight-lined rankings that chance and honest ties hardly reach
HASTE = 1 / 3  # of the median time of everybody

Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row")


class Look(StrEnum):
    """What a person should look into. Each has innocent causes too."""

    AGREES_LESS = "agrees_less"
    INCONSISTENT = "inconsistent"
    POSITION = "position"
    STRAIGHT = "straight"
    FAST = "fast"


class Group(NamedTuple):
    """The agreement within one group of comparisons: a use case, or the week that begins on a day."""

    name: str | date
    agreement: Agreement
    alpha: Agreement


class Writer(NamedTuple):
    """`pasted`: the share of their texts of which more than half was pasted."""

    who: int
    pieces: int
    seconds: float | None
    pasted: Agreement


class Pair(NamedTuple):
    one: Who
    other: Who
    agreement: Agreement
    alpha: Agreement


@dataclass(frozen=True, kw_only=True)
class Annotator:
    who: Who
    rankings: int
    agreement: Agreement
    alpha: Agreement
    gold: Agreement
    consistency: Agreement
    seconds: float | None
    position: Position
    straight: Agreement
    look: list[Look] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Report:
    rankings: int
    prompts: int
    agreement: Agreement
    alpha: Agreement
    seconds: float | None
    annotators: Sequence[Annotator]
    pairs: Sequence[Pair]
    pairs_left_out: int
    use_cases: Sequence[Group]
    weeks: Sequence[Group]


class WhatIf(NamedTuple):
    """What to leave out, to see what would be left."""

    annotators: frozenset[Who] = frozenset()
    use_cases: frozenset[str] = frozenset()
    since: date | None = None
    until: date | None = None

    @classmethod
    def asked(cls, question: Mapping[str, Any]) -> WhatIf:
        """What `as_question` has made plain."""
        people, use_cases = (frozenset(question.get(name, [])) for name in ("annotators", "use_cases"))
        days = {name: date.fromisoformat(question[name]) for name in ("since", "until") if name in question}
        return cls(people, use_cases, days.get("since"), days.get("until"))

    def as_question(self) -> dict[str, Any]:
        """The same as JSON has it, {} where nothing is left out; equal ones are equal."""
        sets = {name: sorted(getattr(self, name), key=str) for name in ("annotators", "use_cases")}
        days = {"since": self.since and self.since.isoformat(), "until": self.until and self.until.isoformat()}
        return {name: value for name, value in (sets | days).items() if value}

    def keeps(self, judgement: Judgement) -> bool:
        day = judgement.day
        return (
            judgement.annotator not in self.annotators
            and judgement.use_case not in self.use_cases
            and (self.since is None or day is None or day >= self.since)
            and (self.until is None or day is None or day <= self.until)
        )


def report(judgements: Sequence[Judgement], *, researchers: Collection[Who] = ()) -> Report:
    """`researchers` are those whose rankings are the reference for everybody else's."""
    rows = shared(judgements)
    overall, seconds = agreement(rows), median_seconds(judgements)
    by_annotator = _grouped(judgements, lambda each: each.annotator)
    references = [each for each in judgements if each.annotator is not None and each.annotator in researchers]
    by_prompt = _grouped(judgements, lambda each: each.prompt)
    compared: dict[Who, list[Shared]] = defaultdict(list)
    for row in rows:
        for who in {row.one, row.other}:
            compared[who].append(row)
    annotators = [
        _annotator(who, own, by_prompt, compared[who], references)
        for who, own in sorted(by_annotator.items(), key=lambda entry: -len(entry[1]))
    ]
    for each in annotators:
        each.look.extend(_look(each, overall=overall, seconds=seconds))
    pairs, pairs_left_out = _pairs(rows, by_annotator)
    return Report(
        rankings=len(judgements),
        prompts=len(by_prompt),
        agreement=overall,
        alpha=krippendorff_alpha(judgements),
        seconds=seconds,
        annotators=annotators,
        pairs=pairs,
        pairs_left_out=pairs_left_out,
        use_cases=_groups(rows, judgements, lambda each: each.use_case),
        weeks=sorted(_groups(rows, judgements, week_of), key=lambda group: str(group.name))[-WEEKS_SHOWN:],
    )


def writers(pieces: Iterable[Written]) -> list[Writer]:
    """Who wrote instructions and answers, the most first."""
    by_person = _grouped(pieces, lambda each: each.annotator)
    found = [Writer(who, len(own), median_seconds(own), mostly_pasted(own)) for who, own in by_person.items()]
    return sorted(found, key=lambda writer: -writer.pieces)


def _annotator(
    who: Who, own: Sequence[Judgement], by_prompt: Mapping[int, Sequence[Judgement]], rows: Sequence[Shared],
    references: Sequence[Judgement],
) -> Annotator:  # fmt: skip
    """`rows` are this annotator's comparisons with others."""
    beside = (each for prompt in {each.prompt for each in own} for each in by_prompt[prompt])
    return Annotator(
        who=who,
        rankings=len(own),
        agreement=agreement(rows),
        alpha=alpha_with_others(own, (each for each in beside if who is None or each.annotator != who)),
        gold=agreement_with(own, [each for each in references if each.annotator != who]),
        consistency=self_consistency(own) if who is not None else agreement(()),
        seconds=median_seconds(own),
        position=position_bias(own),
        straight=straight_lined(own),
    )


def _look(annotator: Annotator, *, overall: Agreement, seconds: float | None) -> Iterable[Look]:
    """Only what an interval, and not the figure alone, sets apart. Comparisons with NaN are false."""
    if annotator.rankings < ENOUGH:
        return
    if annotator.agreement.high < overall.value:
        yield Look.AGREES_LESS
    if annotator.consistency.high < overall.value:
        yield Look.INCONSISTENT
    if annotator.position.share.low > annotator.position.expected:
        yield Look.POSITION
    if annotator.straight.low > STRAIGHT:
        yield Look.STRAIGHT
    if seconds and annotator.seconds is not None and annotator.seconds < seconds * HASTE:
        yield Look.FAST


def _pairs(rows: Iterable[Shared], by_annotator: Mapping[Who, Sequence[Judgement]]) -> tuple[list[Pair], int]:
    """The pairs of annotators with most in common, and how many more there are."""
    by_pair: dict[tuple[Who, Who], list[Shared]] = defaultdict(list)
    for row in rows:
        one, other = sorted((row.one, row.other), key=str)
        if one is not None and other is not None:
            by_pair[one, other].append(row)
    ordered = sorted(by_pair.items(), key=lambda entry: -sum(row.pairs for row in entry[1]))
    found = []
    for (one, other), own in ordered[:PAIRS_SHOWN]:
        both = {row.prompt for row in own}
        theirs = [each for who in (one, other) for each in by_annotator[who] if each.prompt in both]
        found.append(Pair(one, other, agreement(own), krippendorff_alpha(theirs, draws=0)))
    return found, len(ordered) - len(found)


def _groups(
    rows: Iterable[Shared], judgements: Iterable[Judgement], name: Callable[[Shared | Judgement], str | date | None]
) -> list[Group]:
    """Comparisons in groups; alpha is of the judgements of the group. Most comparisons first."""
    of_judgements = _grouped(judgements, name)
    found = [
        Group(key, agreement(own), krippendorff_alpha(of_judgements.get(key, []), draws=0))
        for key, own in _grouped(rows, name).items()
        if key
    ]
    return sorted(found, key=lambda group: -group.agreement.pairs)


def week_of(each: Shared | Judgement) -> date | None:
    return each.day - timedelta(days=each.day.weekday()) if each.day else None


def _grouped(rows: Iterable[Row], name: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        found[name(row)].append(row)
    return found
