"""The things that people ask for in the starter world, one class a task; InstructGPT's use cases are covered by them.

A task draws what a prompt is about (its slots), knows what is true of it, can say something wrong, and says what an
answer needs. The wording is in the language's phrases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from training.starter.world import World

Slots = dict[str, str]


@dataclass(frozen=True)
class Need:
    """Something an answer has to say: `count` of the `options` (each with its synonyms), or its score is multiplied
    by `without`; the share found counts in between."""

    options: tuple[str, ...]
    without: float = 0.0
    count: int = 1


class Task(ABC):
    """One kind of request, in one language."""

    name: ClassVar[str]
    use_case: ClassVar[str]

    def __init__(self, world: World) -> None:
        self.world = world
        self.phrases = world.phrases[self.name]

    @abstractmethod
    def domains(self) -> Mapping[str, Iterable[str]]:
        """Every value that each slot of a prompt can have."""

    def draw(self, rng: Random) -> Slots:
        """What a prompt is about: the slots that its wording shows."""
        return {slot: rng.choice(list(values)) for slot, values in self.domains().items()}

    def truth(self, slots: Slots) -> Slots:
        """The slots and what follows from them: the words of a right answer."""
        return slots

    def lie(self, truth: Slots, rng: Random) -> Slots:
        """The words of a wrong answer."""
        wrong = self.truth(self.draw(rng))
        slot = rng.choice(sorted(self.answer))
        while wrong[slot] == truth[slot]:
            wrong = self.truth(self.draw(rng))
        return truth | {slot: wrong[slot]}

    answer: ClassVar[tuple[str, ...]]
    """The slots that a right answer gets right."""

    def filler(self, truth: Slots, rng: Random) -> Slots:
        """Words that are the writer's to choose."""
        return {}

    def needs(self, truth: Slots) -> list[Need]:
        """What the answer has to say."""
        return [Need((truth[slot],)) for slot in self.answer]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        """Words of which a complete answer has one, beyond what it needs; empty where nothing is to be added."""
        return ()

    def rivals(self, truth: Slots) -> set[str]:
        """Words that make an answer wrong."""
        return set()


class Capital(Task):
    name, use_case, answer = "capital", "open_qa", ("city",)

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"country": self.world.countries}

    def truth(self, slots: Slots) -> Slots:
        city, continent = self.world.countries[slots["country"]]
        return slots | {"city": city, "continent": continent}

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return (truth["continent"],)

    def rivals(self, truth: Slots) -> set[str]:
        others = self.world.countries.items()
        return {word for country, fact in others for word in (country, *fact)} - set(truth.values())


class AnimalFact(Task):
    use_case = "open_qa"

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"animal": self.world.animals}

    def truth(self, slots: Slots) -> Slots:
        food, home = self.world.animals[slots["animal"]]
        return slots | {"food": food, "home": home}

    def rivals(self, truth: Slots) -> set[str]:
        others = self.world.animals.items()
        return {word for animal, fact in others for word in (animal, *fact)} - set(truth.values())


class Diet(AnimalFact):
    name, answer = "diet", ("food",)

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return (truth["home"],)


class Home(AnimalFact):
    name, answer = "home", ("home",)

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return (truth["food"],)


class Story(Task):
    name, use_case, answer = "story", "generation", ("animal", "look")

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"look": self.world.looks, "animal": self.world.animals}

    def filler(self, truth: Slots, rng: Random) -> Slots:
        return {"place": rng.choice(list(self.world.places)), "deed": rng.choice(self.world.deeds)}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["animal"],)), Need((truth["look"],), without=0.25)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return ("pronoun",)


class Card(Task):
    name, use_case, answer = "card", "generation", ("name", "object")

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"name": self.world.names, "object": self.world.objects}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["name"],)), Need((truth["object"],), without=0.25), Need(("birthday",), without=0.25)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return ("wish",)

    def rivals(self, truth: Slots) -> set[str]:
        return {*self.world.names, *self.world.objects} - set(truth.values())


class Ideas(Task):
    name, use_case, answer = "ideas", "brainstorming", ("place",)

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"name": self.world.names, "place": self.world.places}

    def lie(self, truth: Slots, rng: Random) -> Slots:
        return truth | self.filler(super().lie(truth, rng), rng)

    def filler(self, truth: Slots, rng: Random) -> Slots:
        return dict(zip("abc", rng.sample(self.world.places[truth["place"]], 3), strict=True))

    def needs(self, truth: Slots) -> list[Need]:
        return [Need(self.world.places[truth["place"]], count=3)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return ("wish",)

    def rivals(self, truth: Slots) -> set[str]:
        options = {option for place in self.world.places.values() for option in place} | set(self.world.names)
        return options - set(self.world.places[truth["place"]]) - {truth["name"]}


class Gifts(Task):
    name, use_case, answer = "gifts", "brainstorming", ("hobby",)

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"name": self.world.names, "hobby": self.world.hobbies}

    def lie(self, truth: Slots, rng: Random) -> Slots:
        return truth | self.filler(super().lie(truth, rng), rng)

    def filler(self, truth: Slots, rng: Random) -> Slots:
        return dict(zip("abc", rng.sample(self.world.hobbies[truth["hobby"]], 3), strict=True))

    def needs(self, truth: Slots) -> list[Need]:
        return [Need(self.world.hobbies[truth["hobby"]], count=3)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return (truth["hobby"],)

    def rivals(self, truth: Slots) -> set[str]:
        options = {option for hobby in self.world.hobbies.values() for option in hobby} | set(self.world.names)
        return options - set(self.world.hobbies[truth["hobby"]]) - {truth["name"]}


class Lost(Task):
    name, use_case, answer = "lost", "chat", ("object",)

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"object": self.world.objects, "place": self.world.places}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["object"],)), Need(("sorry",), without=0.25)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return (truth["place"],)

    def rivals(self, truth: Slots) -> set[str]:
        return (set(self.world.objects) | set(self.world.places)) - set(truth.values())


class Hello(Task):
    name, use_case, answer = "hello", "chat", ("name", "hobby")

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"name": self.world.names, "hobby": self.world.hobbies}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["name"],)), Need((truth["hobby"],), without=0.25)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return ("?",)

    def rivals(self, truth: Slots) -> set[str]:
        return (set(self.world.names) | set(self.world.hobbies)) - set(truth.values())


class Polite(Task):
    name, use_case, answer = "polite", "rewrite", ("object", "colour")

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"colour": self.world.colours, "object": self.world.objects}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["object"],)), Need((truth["colour"],), without=0.25), Need(("please",), without=0.2)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return ("thanks",)

    def rivals(self, truth: Slots) -> set[str]:
        return (set(self.world.objects) | set(self.world.colours)) - set(truth.values())


class Past(Task):
    name, use_case, answer = "past", "rewrite", ("name", "colour", "object")

    def domains(self) -> Mapping[str, tuple[str, ...]]:
        return {"name": self.world.names, "colour": self.world.colours, "object": self.world.objects}

    def needs(self, truth: Slots) -> list[Need]:
        named = [Need((truth["name"],)), Need((truth["object"],)), Need((truth["colour"],), without=0.25)]
        return [*named, Need(("had",), without=0.2)]

    def rivals(self, truth: Slots) -> set[str]:
        world = self.world
        return ({*world.names, *world.colours, *world.objects} | {"has"}) - set(truth.values())


class Errand(Task):
    name, use_case, answer = "errand", "summarization", ("name", "object", "place")

    def domains(self) -> Mapping[str, Iterable[str]]:
        world = self.world
        return {"name": world.names, "place": world.places, "colour": world.colours, "object": world.objects}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["name"],)), Need((truth["object"],), without=0.25), Need((truth["place"],), without=0.25)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return (truth["colour"],)

    def rivals(self, truth: Slots) -> set[str]:
        world = self.world
        return {*world.names, *world.places, *world.colours, *world.objects} - set(truth.values())


class Review(Task):
    name, use_case, answer = "review", "classification", ("label",)

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"meal": self.world.foods, "taste": (*self.world.good, *self.world.bad)}

    def truth(self, slots: Slots) -> Slots:
        good, bad = self.world.labels
        return slots | {"label": good if slots["taste"] in self.world.good else bad}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["label"],)), Need((truth["meal"],), without=0.25)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return (truth["taste"],)

    def rivals(self, truth: Slots) -> set[str]:
        tastes = self.world.bad if truth["taste"] in self.world.good else self.world.good
        return ({*self.world.foods, *self.world.labels, *tastes}) - set(truth.values())


class Kind(Task):
    name, use_case, answer = "kind", "classification", ("kind",)

    def members(self) -> dict[str, str]:
        world = self.world
        groups = {"animals": list(world.animals), "foods": list(world.foods), "objects": list(world.objects)}
        return {member: world.kinds[group] for group, members in groups.items() for member in members}

    def draw(self, rng: Random) -> Slots:
        members = self.members()
        kind = rng.choice(sorted(set(members.values())))
        return {"thing": rng.choice([member for member in members if members[member] == kind])}

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"thing": self.members()}

    def truth(self, slots: Slots) -> Slots:
        return slots | {"kind": self.members()[slots["thing"]]}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["kind"],)), Need((truth["thing"],), without=0.25)]

    def rivals(self, truth: Slots) -> set[str]:
        members = self.members()
        return {*members, *members.values()} - set(truth.values())


class Who(Task):
    name, use_case, answer = "who", "closed_qa", ("name",)

    def domains(self) -> Mapping[str, tuple[str, ...]]:
        world = self.world
        return {"name": world.names, "colour": world.colours, "object": world.objects, "place": tuple(world.places)}

    def lie(self, truth: Slots, rng: Random) -> Slots:
        return truth | {"name": rng.choice([name for name in self.world.names if name != truth["name"]])}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["name"],)), Need((truth["object"],), without=0.25)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return (truth["colour"],)

    def rivals(self, truth: Slots) -> set[str]:
        world = self.world
        return {*world.names, *world.colours, *world.objects, *world.places} - set(truth.values())


class Where(Task):
    name, use_case, answer = "where", "closed_qa", ("place",)

    def domains(self) -> Mapping[str, tuple[str, ...]]:
        return {"name": self.world.names, "object": self.world.objects, "place": tuple(self.world.places)}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["place"],)), Need((truth["name"],), without=0.25)]

    def rivals(self, truth: Slots) -> set[str]:
        return {*self.world.names, *self.world.places} - {truth["name"], truth["place"]}


class Spot(Task):
    name, use_case, answer = "spot", "extract", ("a1", "a2")

    def draw(self, rng: Random) -> Slots:
        a1, a2 = rng.sample(list(self.world.animals), 2)
        return {"a1": a1, "object": rng.choice(self.world.objects), "a2": a2}

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"a1": self.world.animals, "a2": self.world.animals, "object": self.world.objects}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["a1"], truth["a2"]), count=2)]

    def rivals(self, truth: Slots) -> set[str]:
        return {*self.world.animals, *self.world.objects} - {truth["a1"], truth["a2"]}


class Facts(Task):
    name, use_case, answer = "facts", "extract", ("name", "place")

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"name": self.world.names, "object": self.world.objects, "place": self.world.places}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["name"],)), Need((truth["place"],), without=0.25)]

    def rivals(self, truth: Slots) -> set[str]:
        world = self.world
        return {*world.names, *world.places, *world.objects} - {truth["name"], truth["place"]}


TASKS: tuple[type[Task], ...] = (
    Capital,
    Diet,
    Home,
    Story,
    Card,
    Ideas,
    Gifts,
    Lost,
    Hello,
    Polite,
    Past,
    Errand,
    Review,
    Kind,
    Who,
    Where,
    Spot,
    Facts,
)
