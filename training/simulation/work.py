"""What simulated people do all day, over HTTP: take a piece of work, do it, submit it, take the next."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from threading import Lock
from typing import Any

from training.simulation.client import Client, Json
from training.simulation.people import Person
from training.starter.authors import Author
from training.starter.instructions import Instruction, parse
from training.starter.judgement import Annotator

WORKERS = 4  # threads; each is one person at a time
Answer = Callable[[Json], Json]


class Quota:
    """How many pieces are still to be done, shared by all who work at once."""

    def __init__(self, count: int) -> None:
        self._left, self._lock = count, Lock()

    def claim(self) -> bool:
        """Set one piece aside for the caller, if any is left."""
        with self._lock:
            found = self._left > 0
            self._left -= found
            return found

    def give_back(self) -> None:
        """The caller found no piece to do."""
        with self._lock:
            self._left += 1


@dataclass(frozen=True)
class Desk:
    """Where people work: a server and a project on it."""

    address: str
    project: str

    def work(self, person: Person, kind: str, answer: Answer, *, quota: Quota) -> int:
        """Do pieces of one kind until the quota is used up or nothing waits for this person; how many were done."""
        done = 0
        with Client(self.address, token=person.token) as client:
            claimed = quota.claim()
            piece = client.take(self.project, kinds=[kind]) if claimed else None
            while piece is not None:
                claimed = quota.claim()
                sent = {"client_key": str(uuid.uuid4()), "take_next": claimed, "kinds": [kind], **answer(piece)}
                piece = client.post(f"assignments/{piece['id']}/submit/", sent)["next"]
                done += 1
        if claimed:
            quota.give_back()
        return done

    def everybody(self, task: Callable[[Any, Person], int], people: Sequence[tuple[Any, Person]]) -> int:
        """Have people work side by side; the pieces done together. The first error of any of them is raised."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return sum(pool.map(lambda who: task(*who), people))


def writes_instructions(author: Author, drafts: Iterator[Instruction]) -> Answer:
    """The author's next instruction, whatever the piece says."""

    def answer(piece: Json) -> Json:
        draft = next(drafts)
        return {
            "messages": [{"role": "user", "content": draft.text}],
            "kind": "plain",
            "use_case": draft.use_case,
            "language": author.language,
        }

    return answer


def demonstrates(author: Author, *, seed: int) -> Answer:
    """A good answer in the author's manner."""

    def answer(piece: Json) -> Json:
        return {"text": author.demonstrate(_instruction(piece), seed=seed)}

    return answer


def ranks(annotator: Annotator, *, shuffle: bool) -> Answer:
    """The annotator's honest judgement; with `shuffle`, the same groups dealt to the outputs at random."""

    def answer(piece: Json) -> Json:
        outputs = piece["completions"]
        prompt = piece["prompt"]["messages"][-1]["content"]
        judgement = annotator.ranks(prompt, [output["text"] for output in outputs])
        places = list(range(len(outputs)))
        if shuffle:
            Random(f"shuffle {annotator.name} {annotator.seed} {prompt}").shuffle(places)
        keys = [outputs[place]["id"] for place in places]
        return {
            "groups": [[keys[place] for place in group] for group in judgement.groups],
            "ratings": {key: judgement.ratings[place] for place, key in enumerate(keys)},
            "flags": {key: dict.fromkeys(judgement.flags[place], "yes") for place, key in enumerate(keys)},
            "note": "",
        }

    return answer


def _instruction(piece: Json) -> Instruction:
    text: Any = piece["prompt"]["messages"][-1]["content"]
    instruction = parse(text)
    if instruction is None:
        raise ValueError(f"A piece asks for an answer to {text!r}, which nobody in the simulated world wrote.")
    return instruction
