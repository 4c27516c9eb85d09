"""What the people of the starter world value: a score from 0 to 1 for any text as the answer to a prompt.

It reads the prompt back into the task it sets, and then asks what a person would: does the text do what was asked, is
it right, complete, told in finished sentences, polite, brief and free of repetition. No trainer sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from training.starter import reading
from training.starter.instructions import Instruction, parse
from training.starter.tasks import Need

PLAIN = 0.8
"""What a right answer is worth that leaves out the detail which would make it complete."""
LONGEST = {"en": 40, "zh": 60}
"""Words (characters in Chinese) that an answer may have before its length counts against it."""
COPYING = {"en": 8, "zh": 12}
"""A run of so many words taken from the prompt is an echo and no answer."""


@dataclass(frozen=True)
class Verdict:
    """The parts of a judgement, each from 0 to 1 (1: nothing to mark down)."""

    does_what_was_asked: float
    right: float
    complete: float
    sentences: float
    fluent: float
    polite: float
    to_the_point: float
    fresh: float

    @property
    def score(self) -> float:
        answer = self.does_what_was_asked * self.right * self.complete
        return answer * self.sentences * self.fluent * self.polite * self.to_the_point * self.fresh


def score(prompt: str, text: str) -> float:
    """How good `text` is as an answer to `prompt`, from 0 to 1."""
    return judge(prompt, text).score


def judge(prompt: str, text: str) -> Verdict:
    """The score's parts. A prompt from outside the starter world is judged by its words and the text's manners."""
    instruction = parse(prompt)
    language = instruction.language if instruction else "zh" if reading.is_chinese(prompt) else "en"
    asked, right, complete = _content(instruction, text) if instruction else _guess(prompt, text, language)
    length = len(reading.units(text))
    spoken = reading.is_chinese(text) == (language == "zh")
    copied = reading.longest_copy(text, prompt) >= COPYING[language]
    return Verdict(
        does_what_was_asked=asked * spoken * (0.25 if copied else 1) * (0.25 if reading.REFUSAL.search(text) else 1),
        right=right,
        complete=complete,
        sentences=1.0 if reading.is_sentence(text) else 0.25,
        fluent=0.5 ** reading.slips(text) * (1.0 if reading.is_finished(text) else 0.4),
        polite=0.3 if reading.RUDE.search(text) else 1.0,
        to_the_point=min(1.0, (LONGEST[language] / max(length, 1)) ** 2) * (0.6 if reading.EMPTY.search(text) else 1.0),
        fresh=0.35 ** min(reading.repetition(text), 2),
    )


def _content(instruction: Instruction, text: str) -> tuple[float, float, float]:
    """(does what was asked, right, complete) for an instruction that the world knows."""
    task, truth, language = instruction.task, instruction.truth, instruction.language
    normal = reading.normal(text)
    needs, detail = task.needs(truth), task.detail(truth)
    asked = prod(_met(need, normal, language) for need in needs)
    allowed = {option for need in needs for option in need.options} | set(detail) | set(truth.values())
    rest = reading.without(normal, allowed, language)
    right = 0.25 if reading.names_any(rest, task.rivals(truth), language) else 1.0
    complete = 1.0 if not detail or reading.mentions(normal, detail, language) else PLAIN
    return asked, right, complete


def _met(need: Need, text: str, language: str) -> float:
    found = len(reading.mentions(text, need.options, language))
    return need.without + (1 - need.without) * min(1.0, (found / need.count) ** 2)


def _guess(prompt: str, text: str, language: str) -> tuple[float, float, float]:
    """The same for any other prompt: half for the share of its longer words that the text takes up."""
    words = {unit for unit in reading.units(prompt) if language == "zh" or len(unit) > 3}
    shared = len(words & set(reading.units(text))) / len(words) if words else 0.0
    return 0.3 + 0.5 * min(1.0, 2 * shared), 1.0, PLAIN
