"""The simulated people who write the starter project's instructions and demonstrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from training.starter.answers import good
from training.starter.instructions import Instruction, draw, tasks
from training.starter.world import fraction

NAMES = (
    "ada.berg alan.cole amy.diaz bela.egger bo.frank cara.gray chen.hao clara.ito dan.jonas deng.li dina.kaur "
    "ed.lund elsa.meyer fan.ning femi.obi fred.park gao.qing greta.roth guo.rui hal.sato han.song hana.tran ian.ude "
    "ines.vogel jia.wei jin.xu john.young kai.zhou karl.abel lena.bauer li.chun lin.dong lou.evans luo.fang mara.gold "
    "max.hill mei.hua nils.jung nora.king omar.lang pia.moss qian.ning ray.novak ruth.olsen song.ping tang.rong "
    "ute.quist wang.shu xie.tao yang.wen zoe.reed"
).split()
"""One a person: at least 40, so that a split by author leaves people on every side."""
CHINESE_SHARE = 0.22


@dataclass(frozen=True)
class Author:
    """Somebody who writes: in which language, how completely, and in which split."""

    name: str
    language: str
    completeness: float
    """How often a demonstration has the detail that makes it complete."""
    split: str

    def instructions(self, seed: int) -> Iterator[Instruction]:
        """Endlessly many instructions, no text twice while the language has others; always the same for a seed."""
        rng = Random(f"instructions {self.name} {seed}")
        use_cases = sorted({task.use_case for task in tasks(self.language)})
        seen: set[str] = set()
        while True:
            rng.shuffle(use_cases)
            for use_case in use_cases:
                for _ in range(20):
                    instruction = draw(rng, split=self.split, language=self.language, use_case=use_case)
                    if instruction.text not in seen:
                        break
                seen.add(instruction.text)
                yield instruction

    def demonstrate(self, instruction: Instruction, *, seed: int) -> str:
        """A good answer in this author's manner; always the same for an instruction and a seed."""
        rng = Random(f"demonstration {self.name} {seed} {instruction.text}")
        return good(instruction, rng, full=rng.random() < self.completeness)


def by_hash(name: str) -> str:
    """The split of an author where nothing else decides it: 80, 10 and 10 percent."""
    place = fraction("author", name)
    return "train" if place < 0.8 else "validation" if place < 0.9 else "test"


def authors(split_of_author: Callable[[str], str] = by_hash) -> list[Author]:
    """Everybody, in order of name. An application that splits authors itself passes its own rule, by name.

    Authors of one split write in combinations of entities and templates that belong to it, so prompts with equal
    texts are always in one split, whoever wrote them.
    """
    chinese = sorted(NAMES, key=lambda name: fraction("language", name))[: round(CHINESE_SHARE * len(NAMES))]
    return [
        Author(
            name=name,
            language="zh" if name in chinese else "en",
            completeness=0.2 + 0.5 * fraction("completeness", name),
            split=split_of_author(name),
        )
        for name in NAMES
    ]
