"""One policy's answer as it is said, and then what its SFT policy and a reward model make of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from django.utils.translation import gettext as _

from annotation.models.texts import Message
from training.models import Policy, RewardModel, Stage
from training.playground import client
from training.playground.client import Unavailable, Waiting

ANSWER_SECONDS = 120.0
FIGURE_SECONDS = 60.0  # for SFT and reward model, which were started with the policy


@dataclass(frozen=True)
class Asked:
    """What two policies are asked alike."""

    messages: list[Message]
    temperature: float
    max_new_tokens: int
    seed: int


@dataclass(frozen=True)
class Cell:
    """Whole characters of an answer; log p of the tokens that make them up, in nats, by the policy and by its SFT."""

    text: str
    tokens: int
    logprob: float
    sft_logprob: float | None = None

    @property
    def difference(self) -> float | None:
        """What these tokens add to the KL as it is estimated from this answer."""
        return None if self.sft_logprob is None else self.logprob - self.sft_logprob


@dataclass(frozen=True)
class Answer:
    policy: Policy
    asked: Asked
    text: str
    cells: list[Cell]
    finished: bool
    cut: int  # tokens of the prompt that the model had no room for
    sft: Policy | None = None
    judge: RewardModel | None = None
    reward: float | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(cell.tokens for cell in self.cells)

    @property
    def logprob(self) -> float:
        return sum(cell.logprob for cell in self.cells)

    @property
    def kl(self) -> float | None:
        """log p - log p by SFT, summed: an estimate of the KL to SFT from one sample (at temperature 1)."""
        differences = [cell.difference for cell in self.cells if cell.difference is not None]
        return sum(differences) if self.cells and len(differences) == len(self.cells) else None


def sft_of(policy: Policy) -> Policy | None:
    """The policy that its training was held near; None where it was not trained by reward or preference."""
    run = policy.run
    return (run.reference or run.base) if run and run.stage in (Stage.PPO, Stage.DPO) else None


def answer(policy: Policy, asked: Asked, *, judge: RewardModel | None) -> Iterator[str | Waiting | Answer]:
    """Pieces of text as they are said, and the Answer at last. Raises Unavailable where the policy can't be asked.

    What can't be found out about the answer is told in it.
    """
    sft = sft_of(policy)
    for model in (policy, sft, judge):
        if model is not None:
            client.wake(model)
    said: list[str] = []
    end: dict[str, Any] = {}
    for line in client.ask(policy, _request(asked), seconds=ANSWER_SECONDS):
        if isinstance(line, Waiting):
            yield line
        elif "text" in line:
            said.append(line["text"])
            yield line["text"]
        else:
            end = line
    text, problems = "".join(said), list[str]()
    by_sft = yield from _asked_once(sft if end["tokens"] else None, _same_tokens(end), problems)
    scored = _scored(asked, text, finished=end["finished"])
    reward = yield from _asked_once(judge if text.strip() else None, scored, problems)
    yield Answer(
        policy=policy, asked=asked, text=text, cells=_cells(end, by_sft), finished=end["finished"], cut=end["cut"],
        sft=sft, judge=judge, reward=reward, problems=problems,
    )  # fmt: skip


def _request(asked: Asked) -> dict[str, Any]:
    return {
        "ask": "answer",
        "messages": asked.messages,
        "seed": asked.seed,
        "temperature": asked.temperature,
        "max_new_tokens": asked.max_new_tokens,
        "seconds": ANSWER_SECONDS,
    }


def _same_tokens(end: dict[str, Any]) -> dict[str, Any]:
    return {"ask": "logprobs", **{name: end[name] for name in ("prompt", "tokens", "vocabulary")}}


def _scored(asked: Asked, text: str, *, finished: bool) -> dict[str, Any]:
    return {"ask": "reward", "messages": asked.messages, "text": text, "finished": finished}


def _asked_once(
    model: Policy | RewardModel | None, request: dict[str, Any], problems: list[str]
) -> Generator[Waiting, None, Any]:
    """What the model says to the request; None where there is no model, or it can't be asked, which is told."""
    if model is None:
        return None
    try:
        for line in client.ask(model, request, seconds=FIGURE_SECONDS, patience=FIGURE_SECONDS):
            if not isinstance(line, Waiting):
                return line[request["ask"]]
            yield line
    except Unavailable as reason:
        problems.append(_("By %(model)s: %(reason)s") % {"model": model.name, "reason": reason})
    return None


def _cells(end: dict[str, Any], by_sft: list[float] | None) -> list[Cell]:
    """The tokens' figures added up over each run of them that is whole characters."""
    sizes = [cell["tokens"] for cell in end["cells"]]
    starts = [last - size for last, size in zip(accumulate(sizes), sizes, strict=True)]
    return [
        Cell(
            cell["text"], size, sum(end["logprobs"][start : start + size]),
            None if by_sft is None else sum(by_sft[start : start + size]),
        )
        for cell, size, start in zip(end["cells"], sizes, starts, strict=True)
    ]  # fmt: skip
