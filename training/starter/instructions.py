"""Instructions: drawn from the tasks, and read back from their text alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from random import Random

from training.starter.chinese import CHINESE
from training.starter.english import ENGLISH
from training.starter.tasks import TASKS, Slots, Task
from training.starter.world import split_of

WORLDS = {"en": ENGLISH, "zh": CHINESE}


@cache
def tasks(language: str) -> tuple[Task, ...]:
    """The tasks that a language has wording for."""
    world = WORLDS[language]
    return tuple(task(world) for task in TASKS if task.name in world.phrases)


@dataclass(frozen=True)
class Instruction:
    """A prompt of the starter world: which task, which wording, and the slots filled in."""

    task: Task
    wording: int
    slots: Slots

    @cached_property
    def text(self) -> str:
        return self.task.phrases.prompts[self.wording].format(**self.slots)

    @property
    def language(self) -> str:
        return self.task.world.language

    @property
    def use_case(self) -> str:
        return self.task.use_case

    @cached_property
    def truth(self) -> Slots:
        return self.task.truth(self.slots)

    @property
    def combination(self) -> str:
        """The entities and the template: what the held-out prompts share with no other prompt."""
        entities = " ".join(f"{slot}={self.slots[slot]}" for slot in sorted(self.slots))
        return f"{self.language} {self.task.name} {self.wording} {entities}"

    @property
    def split(self) -> str:
        """train, validation or test: a function of the text, so equal prompts share it."""
        return split_of(self.combination)


def draw(rng: Random, *, split: str, language: str, use_case: str | None = None) -> Instruction:
    """A random instruction of one split: use cases are equally likely, then the tasks of one, then its wordings."""
    choices = tasks(language)
    use_case = use_case or rng.choice(sorted({task.use_case for task in choices}))
    of_case = [task for task in choices if task.use_case == use_case]
    if not of_case:
        known = sorted({task.use_case for task in choices})
        raise ValueError(f"No task for use case {use_case!r} in language {language!r}; there are {', '.join(known)}.")
    while True:
        task = rng.choice(of_case)
        instruction = Instruction(task, rng.randrange(len(task.phrases.prompts)), task.draw(rng))
        if instruction.split == split:
            return instruction


@cache
def patterns() -> tuple[tuple[re.Pattern[str], Task, int], ...]:
    """A pattern for each wording of each task; a slot matches its possible values alone."""
    return tuple(
        (_pattern(prompt, task), task, wording)
        for language in WORLDS
        for task in tasks(language)
        for wording, prompt in enumerate(task.phrases.prompts)
    )


def _pattern(prompt: str, task: Task) -> re.Pattern[str]:
    domains, seen = task.domains(), set[str]()
    parts = []
    for literal, slot in re.findall(r"([^{}]*)(?:\{(\w+)\})?", prompt):
        parts.append(re.escape(literal))
        if slot in seen:
            parts.append(f"(?P={slot})")
        elif slot:
            seen.add(slot)
            values = sorted(domains[slot], key=len, reverse=True)
            parts.append(f"(?P<{slot}>{'|'.join(map(re.escape, values))})")
    return re.compile("".join(parts))


@cache
def parse(text: str) -> Instruction | None:
    """The instruction that a prompt's text says, or None for a prompt that is not of the starter world."""
    for pattern, task, wording in patterns():
        if found := pattern.fullmatch(text.strip()):
            return Instruction(task, wording, found.groupdict())
    return None
