"""The same rows for other tools: Parquet files that `datasets.load_dataset` opens and TRL's trainers take as they are.

Each file follows from one of the dataset's JSONL files alone. Texts are always messages here, also where a prompt is
a single text: a column has one type, and this is the one that TRL calls conversational.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from annotation.adding import batched
from training.lineage import sha256_of

if TYPE_CHECKING:
    import pyarrow

Row = dict[str, Any]
Derive = Callable[[Row], Iterable[Row]]

BATCH = 1_000
HELD_OUT = "_held_out"
MESSAGES = ("prompt", "completion", "chosen", "rejected", "messages")
WHOLE_NUMBERS = ("id", "prompt_id", "guidelines", "rank", "rating", "chosen_rank", "rejected_rank")
PROVENANCE = ("prompt_id", "use_case", "language", "guidelines")


class Kind(NamedTuple):
    """A kind of rows, by the name that load_dataset calls it. `source`: the JSONL file, but for _held_out."""

    name: str
    source: str
    columns: tuple[str, ...]
    derive: Derive

    def files(self) -> Iterator[tuple[str, str]]:
        """Each split with the file that holds it."""
        yield "train", f"{self.name}.parquet"
        yield "held_out", f"{self.name}{HELD_OUT}.parquet"


def instruction(row: Row) -> Iterable[Row]:
    yield row | {"prompt": messages(row["prompt"])}


def demonstration(row: Row) -> Iterable[Row]:
    yield row | {"prompt": messages(row["prompt"]), "completion": answer(row["completion"])}


def conversation(row: Row) -> Iterable[Row]:
    yield row | {"messages": messages(row["prompt"]) + answer(row["completion"])}


def ranking(row: Row) -> Iterable[Row]:
    yield row | {"prompt": messages(row["prompt"])}


def comparisons(row: Row) -> Iterable[Row]:
    """All pairs of which one stands above the other; a tie gives none."""
    for pair in combinations(row["completions"], 2):
        better, worse = sorted(pair, key=lambda each: int(each["rank"]))
        if better["rank"] < worse["rank"]:
            yield row | {
                "prompt": messages(row["prompt"]),
                "chosen": answer(better["text"]),
                "rejected": answer(worse["text"]),
                "chosen_rank": better["rank"],
                "rejected_rank": worse["rank"],
                "chosen_model": better["model"],
                "rejected_model": worse["model"],
            }


def scored(row: Row) -> Iterable[Row]:
    """Each output by itself. Its score: the share of the ranking's other outputs that it stands above, a tie for ½."""
    ranks = [each["rank"] for each in row["completions"]]
    for each in row["completions"]:
        below, level = (sum(other > each["rank"] for other in ranks), ranks.count(each["rank"]) - 1)
        yield row | each | {
            "prompt": messages(row["prompt"]),
            "completion": answer(each["text"]),
            "score": (below + level / 2) / (len(ranks) - 1),
        }  # fmt: skip


JUDGED = ("annotator", *PROVENANCE)
KINDS = (
    Kind(
        "instructions", "instructions",
        ("id", "prompt", "kind", "use_case", "language", "split", "pool", "harmful", "author"), instruction,
    ),
    Kind("demonstrations", "demonstrations", ("id", "prompt", "completion", "author", *PROVENANCE), demonstration),
    Kind("messages", "demonstrations", ("id", "messages", "author", *PROVENANCE), conversation),
    Kind("rankings", "rankings", ("id", "prompt", "completions", *JUDGED), ranking),
    Kind(
        "comparisons", "rankings",
        ("id", "prompt", "chosen", "rejected", "chosen_rank", "rejected_rank", "chosen_model", "rejected_model",
         *JUDGED),
        comparisons,
    ),
    Kind(
        "completions", "rankings", ("id", "prompt", "completion", "score", "rank", "rating", "model", *JUDGED), scored
    ),
    Kind("prompts", "prompts", ("id", "prompt"), instruction),
)  # fmt: skip


def sources() -> dict[str, str]:
    """The name of each Parquet file → the JSONL file that it follows from."""
    found = {}
    for kind in KINDS:
        for split, name in kind.files():
            apart = split == "held_out" and kind.name != "instructions"  # those of all splits are in one file
            found[name] = f"{kind.source}{HELD_OUT if apart else ''}.jsonl"
    return found


def write(path: Path, source: Path, *, name: str) -> dict[str, Any]:
    """Write the Parquet file of that name from its JSONL file; what a Dataset records of it."""
    import pyarrow
    import pyarrow.parquet

    kind, held_out = next((kind, split == "held_out") for kind in KINDS for split, file in kind.files() if file == name)
    schema, count = _schema(kind), 0
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batched(_rows(kind, source, held_out=held_out), BATCH):
            writer.write_batch(pyarrow.RecordBatch.from_pylist(batch, schema=schema))
            count += len(batch)
    path.chmod(0o444)
    return {"sha256": sha256_of(path), "rows": count, "bytes": path.stat().st_size}


def messages(prompt: str | list[Row]) -> list[Row]:
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def answer(text: str) -> list[Row]:
    return [{"role": "assistant", "content": text}]


def _rows(kind: Kind, source: Path, *, held_out: bool) -> Iterator[Row]:
    with source.open("rb") as file:
        for line in file:
            row = json.loads(line)
            if "split" not in row or (row["split"] != "train") == held_out:
                for derived in kind.derive(row):
                    yield {column: derived[column] for column in kind.columns}


def _schema(kind: Kind) -> pyarrow.Schema:
    """Texts, but for the columns named here."""
    import pyarrow as pa

    ranked = {"text": pa.string(), "rank": pa.int64(), "rating": pa.int64(), "model": pa.string()}
    types = {
        **dict.fromkeys(WHOLE_NUMBERS, pa.int64()),
        **dict.fromkeys(MESSAGES, pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))),
        "completions": pa.list_(pa.struct(ranked)),
        "score": pa.float64(),
        "harmful": pa.bool_(),
    }
    return pa.schema([(column, types.get(column, pa.string())) for column in kind.columns])
