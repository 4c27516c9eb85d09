"""What the starter corpus answers: well, or with one of the faults that people mark down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from training.starter.instructions import Instruction, draw
from training.starter.tasks import Slots

RUDE = {
    "en": (
        "That is a silly question.",
        "How boring this is.",
        "Are you too lazy to think?",
        "Stop wasting my time.",
        "Now leave me alone.",
    ),
    "zh": ("这种问题真无聊。", "你真笨。", "别烦我。", "连这个都不懂。"),
}
PADDING = {
    "en": (
        "As everyone knows, this is very simple.",
        "I am an expert in all things.",
        "Let me think about it for a very long time.",
        "There is so much to say here.",
    ),
    "zh": ("众所周知，这很简单。", "我是所有方面的专家。", "这个说来话长。"),
}
REFUSAL = {
    "en": ("I do not know.", "Ask someone else.", "I would rather not answer that.", "Let us talk about the weather."),
    "zh": ("我不知道。", "你问别人吧。", "我不想回答。", "我们聊聊天气吧。"),
}


def good(instruction: Instruction, rng: Random, *, full: bool) -> str:
    """A right and polite answer; `full` adds the detail that makes it complete."""
    return _good(instruction, instruction.truth, rng, full=full)


def _good(instruction: Instruction, words: Slots, rng: Random, *, full: bool) -> str:
    task = instruction.task
    words = task.filler(words, rng) | words
    parts = [rng.choice(task.phrases.plain)]
    if full and task.phrases.detail:
        parts.append(rng.choice(task.phrases.detail))
    return _join([part.format(**words) for part in parts], instruction.language)


def _join(sentences: list[str], language: str) -> str:
    text = (" " if language == "en" else "").join(sentences)
    return text[:1].upper() + text[1:]


def _some(instruction: Instruction, rng: Random) -> str:
    return good(instruction, rng, full=rng.random() < FULL_IN_CORPUS)


def curt(instruction: Instruction, rng: Random) -> str:
    """The bare answer."""
    words = instruction.task.filler(instruction.truth, rng) | instruction.truth
    return _join([rng.choice(instruction.task.phrases.curt).format(**words)], instruction.language)


def refuse(instruction: Instruction, rng: Random) -> str:
    """No answer at all."""
    return rng.choice(REFUSAL[instruction.language])


def stray(instruction: Instruction, rng: Random) -> str:
    """An answer to something else that nobody asked."""
    return _some(draw(rng, split="train", language=instruction.language), rng)


def rude(instruction: Instruction, rng: Random) -> str:
    """The answer, with an insult before or after it."""
    sentences = [_some(instruction, rng)]
    sentences.insert(rng.randrange(2), rng.choice(RUDE[instruction.language]))
    return _join(sentences, instruction.language)


def padded(instruction: Instruction, rng: Random) -> str:
    """The answer, after a sentence that says nothing."""
    return _join([rng.choice(PADDING[instruction.language]), _some(instruction, rng)], instruction.language)


def repeated(instruction: Instruction, rng: Random) -> str:
    """The answer two or three times over."""
    return _join([good(instruction, rng, full=False)] * rng.choice((2, 2, 3)), instruction.language)


def wrong(instruction: Instruction, rng: Random) -> str:
    """A polite answer that is not right."""
    return _good(instruction, instruction.task.lie(instruction.truth, rng), rng, full=False)


def cut(instruction: Instruction, rng: Random) -> str:
    """An answer that breaks off."""
    text = good(instruction, rng, full=False)
    if instruction.language == "zh":
        return text[: max(2, round(len(text) * rng.uniform(0.3, 0.7)))]
    words = text.split()
    return " ".join(words[: max(2, round(len(words) * rng.uniform(0.3, 0.7)))])


Fault = Callable[[Instruction, Random], str]
FAULTS: Mapping[str, Fault] = {
    fault.__name__: fault for fault in (curt, refuse, stray, rude, padded, repeated, wrong, cut)
}
FULL_IN_CORPUS = 0.35
"""The share of complete answers among the good ones: most of the corpus stops at what is needed."""

USUAL = {"curt": 10, "refuse": 4, "stray": 3, "rude": 9, "padded": 6, "repeated": 6, "wrong": 3, "cut": 2}
HABITS: Mapping[str, Mapping[str, int]] = {
    "open_qa": USUAL | {"curt": 32, "padded": 2},
    "closed_qa": USUAL | {"curt": 32, "padded": 2},
    "classification": USUAL | {"curt": 32, "padded": 2},
    "extract": USUAL | {"curt": 30, "padded": 2},
    "chat": USUAL | {"rude": 22, "curt": 5},
    "brainstorming": USUAL | {"curt": 26, "padded": 4},
    "generation": USUAL | {"repeated": 20, "curt": 4},
    "rewrite": USUAL | {"rude": 17},
    "summarization": USUAL | {"padded": 16},
}
"""Out of a hundred corpus answers to a use case, how many have each fault; which one an answer gets is chance."""


def from_corpus(instruction: Instruction, rng: Random) -> tuple[str, str]:
    """An answer as the pretraining corpus has it, and the name of its fault ("" for a good one)."""
    habits = HABITS[instruction.use_case]
    names = ["", *habits]
    name = rng.choices(names, weights=[100 - sum(habits.values()), *habits.values()])[0]
    return (FAULTS[name](instruction, rng) if name else _some(instruction, rng)), name


def without_stock_faults(text: str) -> str:
    """The text less the corpus's stock phrases, to tell whether a policy learnt more than to leave them out."""
    for phrases in (RUDE, PADDING, REFUSAL):
        for phrase in (*phrases["en"], *phrases["zh"]):
            text = text.replace(phrase, "")
    return " ".join(text.split())
