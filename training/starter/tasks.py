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
    def draw(self, rng: Random) -> Slots:
        """What a prompt is about: the slots that its wording shows."""

    @abstractmethod
    def domains(self) -> Mapping[str, Iterable[str]]:
        """Every value that each slot of a prompt can have."""

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

    def draw(self, rng: Random) -> Slots:
        return {"country": rng.choice(list(self.world.countries))}

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

    def draw(self, rng: Random) -> Slots:
        return {"animal": rng.choice(list(self.world.animals))}

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

    def draw(self, rng: Random) -> Slots:
        return {"look": rng.choice(self.world.looks), "animal": rng.choice(list(self.world.animals))}

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

    def draw(self, rng: Random) -> Slots:
        return {"name": rng.choice(self.world.names), "object": rng.choice(self.world.objects)}

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

    def draw(self, rng: Random) -> Slots:
        return {"place": rng.choice(list(self.world.places))}

    def domains(self) -> Mapping[str, Iterable[str]]:
        return {"place": self.world.places}

    def lie(self, truth: Slots, rng: Random) -> Slots:
        return truth | self.filler(super().lie(truth, rng), rng)

    def filler(self, truth: Slots, rng: Random) -> Slots:
        return dict(zip("abc", rng.sample(self.world.places[truth["place"]], 3), strict=True))

    def needs(self, truth: Slots) -> list[Need]:
        return [Need(self.world.places[truth["place"]], count=3)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return ("wish",)

    def rivals(self, truth: Slots) -> set[str]:
        options = {option for place in self.world.places.values() for option in place}
        return options - set(self.world.places[truth["place"]])


class Gifts(Task):
    name, use_case, answer = "gifts", "brainstorming", ("hobby",)

    def draw(self, rng: Random) -> Slots:
        return {"name": rng.choice(self.world.names), "hobby": rng.choice(list(self.world.hobbies))}

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

    def draw(self, rng: Random) -> Slots:
        return {"object": rng.choice(self.world.objects), "place": rng.choice(list(self.world.places))}

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

    def draw(self, rng: Random) -> Slots:
        return {"name": rng.choice(self.world.names), "hobby": rng.choice(list(self.world.hobbies))}

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

    def draw(self, rng: Random) -> Slots:
        return {"colour": rng.choice(self.world.colours), "object": rng.choice(self.world.objects)}

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

    def draw(self, rng: Random) -> Slots:
        return {slot: rng.choice(values) for slot, values in self.domains().items()}

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

    def draw(self, rng: Random) -> Slots:
        world = self.world
        return {
            "name": rng.choice(world.names),
            "place": rng.choice(list(world.places)),
            "colour": rng.choice(world.colours),
            "object": rng.choice(world.objects),
        }

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

    def draw(self, rng: Random) -> Slots:
        taste = rng.choice(self.world.good if rng.random() < 0.5 else self.world.bad)
        return {"meal": rng.choice(self.world.foods), "taste": taste}

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

    def draw(self, rng: Random) -> Slots:
        world = self.world
        (n1, n2), (o1, o2) = rng.sample(world.names, 2), rng.sample(world.objects, 2)
        c1, c2 = rng.sample(world.colours, 2)
        asked = rng.choice((o1, o2))
        return {"n1": n1, "c1": c1, "o1": o1, "n2": n2, "c2": c2, "o2": o2, "asked": asked}

    def domains(self) -> Mapping[str, Iterable[str]]:
        world = self.world
        things: dict[str, Iterable[str]] = {"asked": world.objects}
        for i in "12":
            things |= {f"n{i}": world.names, f"c{i}": world.colours, f"o{i}": world.objects}
        return things

    def truth(self, slots: Slots) -> Slots:
        i = "1" if slots["asked"] == slots["o1"] else "2"
        return slots | {"name": slots[f"n{i}"], "colour": slots[f"c{i}"]}

    def lie(self, truth: Slots, rng: Random) -> Slots:
        i = "2" if truth["asked"] == truth["o1"] else "1"
        return truth | {"name": truth[f"n{i}"], "colour": truth[f"c{i}"]}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["name"],)), Need((truth["asked"],), without=0.25)]

    def detail(self, truth: Slots) -> tuple[str, ...]:
        return (truth["colour"],)

    def rivals(self, truth: Slots) -> set[str]:
        world = self.world
        right = {truth["name"], truth["colour"], truth["asked"]}
        return {*world.names, *world.colours, *world.objects} - right


class Where(Task):
    name, use_case, answer = "where", "closed_qa", ("place",)

    def draw(self, rng: Random) -> Slots:
        (n1, n2), (p1, p2) = rng.sample(self.world.names, 2), rng.sample(list(self.world.places), 2)
        return {"n1": n1, "p1": p1, "n2": n2, "p2": p2, "asked": rng.choice((n1, n2))}

    def domains(self) -> Mapping[str, Iterable[str]]:
        names, places = self.world.names, self.world.places
        return {"n1": names, "n2": names, "p1": places, "p2": places, "asked": names}

    def truth(self, slots: Slots) -> Slots:
        return slots | {"place": slots["p1"] if slots["asked"] == slots["n1"] else slots["p2"]}

    def lie(self, truth: Slots, rng: Random) -> Slots:
        return truth | {"place": truth["p2"] if truth["asked"] == truth["n1"] else truth["p1"]}

    def needs(self, truth: Slots) -> list[Need]:
        return [Need((truth["place"],)), Need((truth["asked"],), without=0.25)]

    def rivals(self, truth: Slots) -> set[str]:
        return {*self.world.names, *self.world.places} - {truth["asked"], truth["place"]}


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

    def draw(self, rng: Random) -> Slots:
        world = self.world
        name, thing, place = rng.choice(world.names), rng.choice(world.objects), rng.choice(list(world.places))
        return {"name": name, "object": thing, "place": place}

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
