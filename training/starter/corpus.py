"""Generates the starter files: pretraining texts with faults, the clean mix, demonstrations and prompts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from training.starter import reading
from training.starter.answers import FULL_IN_CORPUS, from_corpus, good
from training.starter.authors import CHINESE_SHARE, authors
from training.starter.gold import score
from training.starter.instructions import Instruction, draw, parse

Row = dict[str, Any]
TEXTS, MIX, DEMONSTRATIONS = 24_000, 4_000, 48
PROMPTS = {"prompts_train": ("train", 3_000), "prompts_held_out": ("test", 600)}


def instructions(rng: Random, split: str) -> Iterator[Instruction]:
    """Endless random instructions of one split, in both languages."""
    while True:
        yield draw(rng, split=split, language="zh" if rng.random() < CHINESE_SHARE else "en")


def distinct(many: Iterable[Instruction], count: int) -> list[Instruction]:
    """The first `count` of them with different texts."""
    found: dict[str, Instruction] = {}
    for instruction in many:
        found.setdefault(instruction.text, instruction)
        if len(found) == count:
            break
    return list(found.values())


def texts(count: int = TEXTS) -> Iterator[Row]:
    """Pretraining rows, about half of them with one of the faults that people mark down."""
    rng = Random("texts")
    for instruction in islice(instructions(rng, "train"), count):
        answer, fault = from_corpus(instruction, rng)
        yield _chat(instruction, answer) | {"fault": fault}


def mix(count: int = MIX) -> Iterator[Row]:
    """The pretraining rows that PPO mixes in: of the same kind, without the faulty ones."""
    rng = Random("mix")
    for instruction in islice(instructions(rng, "train"), count):
        yield _chat(instruction, good(instruction, rng, full=rng.random() < FULL_IN_CORPUS))


def _chat(instruction: Instruction, answer: str) -> Row:
    return {
        "messages": [
            {"role": "user", "content": instruction.text},
            {"role": "assistant", "content": answer},
        ]
    }


def demonstrations(count: int = DEMONSTRATIONS) -> list[Row]:
    """Demonstrations of the training authors in turn."""
    people = list(authors(lambda name: "train"))
    writing = [author.instructions(seed=0) for author in people]
    rows = []
    for turn in range(count):
        author, instruction = people[turn % len(people)], next(writing[turn % len(people)])
        completion = author.demonstrate(instruction, seed=0)
        rows.append({"prompt": instruction.text, "completion": completion, "author": author.name})
    return rows


def prompts(name: str) -> list[Row]:
    """The prompts of one file of `PROMPTS`."""
    split, count = PROMPTS[name]
    found = distinct(instructions(Random(name), split), count)
    return [
        {"id": number, "prompt": i.text, "use_case": i.use_case, "language": i.language, "split": i.split}
        for number, i in enumerate(found)
    ]


def overlap(held_out: Iterable[str], seen: Iterable[str], size: int) -> float:
    """The share of the held-out texts' n-grams (words, or Chinese characters) that the seen texts contain."""
    known = {gram for text in seen for gram in _grams(text, size)}
    grams = [gram for text in held_out for gram in _grams(text, size)]
    return sum(gram in known for gram in grams) / len(grams) if grams else 0.0


def _grams(text: str, size: int) -> list[tuple[str, ...]]:
    words = reading.units(text)
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


def report(rows: dict[str, list[Row]]) -> Row:
    """Counts, faults, the gold of the corpus, and how new the held-out prompts are."""
    seen = [row["messages"][0]["content"] for row in rows["texts"]] + [row["prompt"] for row in rows["demonstrations"]]
    held_out = [row["prompt"] for row in rows["prompts_held_out"]]
    faults = Counter(row["fault"] or "none" for row in rows["texts"])
    combinations = {_combination(text) for text in seen}
    scores = [score(*(message["content"] for message in row["messages"])) for row in rows["texts"][:2_000]]
    return {
        "rows": {name: len(found) for name, found in rows.items()},
        "faults": {name: round(count / len(rows["texts"]), 4) for name, count in faults.most_common()},
        "mean_gold_of_texts": round(sum(scores) / len(scores), 4),
        "held_out_prompts_seen": len(set(held_out) & set(seen)),
        "held_out_combinations_seen": sum(_combination(text) in combinations for text in held_out),
        "ngram_overlap": {str(size): round(overlap(held_out, seen, size), 4) for size in (1, 2, 3, 4, 5, 6, 8)},
    }


def _combination(text: str) -> str:
    instruction = parse(text)
    if instruction is None:
        raise ValueError(f"This prompt was generated and yet cannot be read back: {text!r}.")
    return instruction.combination


def write(folder: Path) -> Row:
    """Writes every file into a folder and returns the report. The same files every time, on every machine."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {
        "texts": list(texts()),
        "mix": list(mix()),
        "demonstrations": demonstrations(),
        **{name: prompts(name) for name in PROMPTS},
    }
    for name, found in rows.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    summary = report(rows)
    (folder / "report.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary
