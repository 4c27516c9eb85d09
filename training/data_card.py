"""The card of a dataset: a README.md in the Hugging Face format, from which `datasets.load_dataset` reads the kinds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training import parquet
from training.models import Dataset

NAME = "README.md"
HEADING = "## What it holds"
CONFIGS = re.compile(r"^configs:\n.*?(?=^---$)", re.DOTALL | re.MULTILINE)
ABOUT = {
    "instructions": "prompts that people wrote",
    "demonstrations": "prompts with a person's answer each, as `prompt` and `completion`",
    "messages": "the same as one conversation each, as `messages`",
    "rankings": "one annotator's ordering of K outputs a row; rank 1 is best and equal ranks are ties, ratings go to 7",
    "comparisons": "the untied pairs of every ranking, as `prompt`, `chosen` and `rejected`",
    "completions": "the ranked outputs one by one; `score` is the share of the others that it stands above",
    "prompts": "prompts that reinforcement learning practises on; none of them is ranked under `train`",
}


def write(folder: Path, dataset: Dataset) -> None:
    """Write the card. Where there is one, its figures are made anew and the rest stays: that is the admins' to edit."""
    card = folder / NAME
    before = card.read_text().partition(HEADING)[0] if card.exists() else _head(dataset)
    before = CONFIGS.sub(lambda _found: _configs(dataset), before, count=1)
    draft = card.with_name(f".{NAME}.new")
    draft.write_text(f"{before}{HEADING}\n\n{_figures(dataset)}")
    draft.replace(card)


def _head(dataset: Dataset) -> str:
    title = f"{dataset.project.name}, dataset {dataset.pk}"
    return f"""\
---
pretty_name: {json.dumps(title, ensure_ascii=False)}
license: unknown # for the project's admins to settle: put its identifier here, such as cc-by-4.0
language: {json.dumps(dataset.filters.get("languages") or dataset.project.languages)}
tags: [human-feedback, preference-data, rlhf]
configs:
---

# {title}

What people wrote and ranked in the project *{dataset.project.name}*, frozen for training. Open a kind of rows with
`datasets.load_dataset("this folder", "comparisons")`, or any other kind of the table below. Prompts and answers are
lists of messages, which TRL's trainers take as they are. The splits are by the prompts' authors: nobody who wrote
under `train` wrote under `held_out`, but for texts that somebody had written before.

People appear under pseudonyms: the same person has the same one throughout the project, and no file says whose it is.

## Licence

Not settled yet. Who runs the project says here, and in the first lines of this file, what others may do with the data.

"""


def _configs(dataset: Dataset) -> str:
    """The kinds for load_dataset, which takes a split without rows for a mistake."""
    lines = ["configs:"]
    for kind in parquet.KINDS:
        if splits := [(split, file) for split, file in kind.files() if dataset.files[file]["rows"]]:
            lines += [f"- config_name: {kind.name}", "  data_files:"]
            lines += [line for split, file in splits for line in (f"  - split: {split}", f"    path: {file}")]
    return "".join(f"{line}\n" for line in lines)


def _figures(dataset: Dataset) -> str:
    sections = [
        _table(("Kind", "Rows are", "train", "held_out"), _kinds(dataset)),
        "## Left out\n",
        _table(("Of", "Why", "Rows"), _left_out(dataset)) if dataset.left_out else "Nothing.\n",
        "## How it was made\n",
        "".join(f"- {name}: {value}\n" for name, value in _facts(dataset)),
        "## Files\n",
        _table(("File", "Rows", "Bytes", "sha256"), _files(dataset)),
    ]
    return "\n".join(sections)


def _kinds(dataset: Dataset) -> Iterator[tuple[Any, ...]]:
    for kind in parquet.KINDS:
        rows = (dataset.files[file]["rows"] for _split, file in kind.files())
        yield f"`{kind.name}`", ABOUT[kind.name], *rows


def _left_out(dataset: Dataset) -> Iterator[tuple[Any, ...]]:
    for kind, reasons in dataset.left_out.items():
        for reason, count in reasons.items():
            yield kind, reason, count


def _facts(dataset: Dataset) -> Iterator[tuple[str, str]]:
    yield "frozen", f"{dataset.created_at:%Y-%m-%d %H:%M} UTC"
    for name, value in dataset.filters.items():
        yield name.replace("_", " "), _plain(value)
    for kind, versions in dataset.guidelines.items():
        yield f"{kind} by version of the guidelines", _plain(versions)
    yield "code version", f"`{dataset.code_version}`"
    yield "sha256 of the rows", f"`{dataset.sha256}`"
    for erasure in dataset.erasures:
        yield f"erased on {erasure['at'][:10]}", f"{erasure['rows']} rows; before, sha256 was `{erasure['sha256']}`"


def _files(dataset: Dataset) -> Iterator[tuple[Any, ...]]:
    for name, about in sorted(dataset.files.items()):
        yield f"`{name}`", about["rows"], about["bytes"], f"`{about['sha256']}`"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(heading: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
