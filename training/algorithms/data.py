"""From JSON lines to batches: reading and checking rows, putting their token ids side by side.

A Row is a prompt and a completion in token ids, for both families of models and for all stages.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from training.algorithms.encoder import Encoder
from training.algorithms.errors import InputError

T = TypeVar("T")
GZIP = b"\x1f\x8b"  # what a gzipped file begins with


class Row(NamedTuple):
    """Token ids. The completion ends in EOS where its author ended it; a causal model reads prompt + completion."""

    prompt: list[int]
    completion: list[int]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.completion)


@dataclass
class Batch:
    """Rows side by side, padded on the right. T is the padded length, R the longest completion.

    inputs: what the model's forward takes. predicts: (B, T), states that predict a completion token. ends: (B,), the
    state that has read the row's last token. targets: (N,), completion tokens, row by row. mask: (B, R).
    """

    inputs: dict[str, Tensor]
    predicts: Tensor
    ends: Tensor
    targets: Tensor
    mask: Tensor

    def spread(self, values: Tensor) -> Tensor:
        """One value a completion token, (N,), as a padded (B, R) with zeros outside the mask."""
        padded = values.new_zeros(self.mask.shape)
        padded[self.mask] = values
        return padded


def read_rows(path: Path, check: Callable[[dict[str, Any]], str]) -> list[dict[str, Any]]:
    """The objects of a JSON lines file, gzipped or not. `check` says what is wrong with one, or nothing.

    Raises InputError with the line's number where a line is malformed, or where the file is missing or empty.
    """
    try:
        content = path.read_bytes()
        lines = (gzip.decompress(content) if content.startswith(GZIP) else content).decode("utf-8").split("\n")
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}. Give a file of JSON lines.") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}). Give a file of JSON lines in UTF-8.") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"Line {number} of {path} is not JSON ({error}). Put one object on each line.") from error
        problem = check(row) if isinstance(row, dict) else f"is a {type(row).__name__}, not an object"
        if problem:
            raise InputError(f"Line {number} of {path} {problem}.")
        rows.append(row)
    if not rows:
        raise InputError(f"{path} holds no rows. Give a file with at least one line.")
    return rows


def _prompt_problem(row: dict[str, Any]) -> str:
    prompt = row.get("prompt")
    if isinstance(prompt, str) or (isinstance(prompt, list) and prompt and not _messages_problem(prompt)):
        return ""
    return 'has no "prompt" that is a text or a list of {"role", "content"}'


def _messages_problem(messages: Any) -> str:
    good = isinstance(messages, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in messages
    )
    return "" if good and messages else 'has "messages" that are not a list of {"role", "content"}'


def text_problem(row: dict[str, Any]) -> str:
    if "messages" in row:
        return _messages_problem(row["messages"])
    return "" if isinstance(row.get("text"), str) else 'has neither a "text" nor "messages"'


def demonstration_problem(row: dict[str, Any]) -> str:
    return _prompt_problem(row) or (
        "" if isinstance(row.get("completion"), str) else 'has no "completion" that is a text'
    )


def prompt_problem(row: dict[str, Any]) -> str:
    return _prompt_problem(row)


def ranking_problem(row: dict[str, Any]) -> str:
    completions = row.get("completions")
    if (
        not isinstance(completions, list)
        or not all(isinstance(c, dict) and isinstance(c.get("text"), str) for c in completions)
        or not any(all(_is_number(c.get(field)) for c in completions) for field in ("rank", "score"))
    ):
        return 'has no "completions" that are a list of {"text", "rank"}, or of {"text", "score"}, with numbers'
    if len(completions) < 2:
        return f"ranks {len(completions)} completion(s); a ranking compares two or more. Remove the line or rank more"
    return _prompt_problem(row)


def ranks_of(row: dict[str, Any]) -> list[float]:
    """A checked row's ranks, lower is better: as they are given, or else from the scores."""
    completions = row["completions"]
    if all(_is_number(each.get("rank")) for each in completions):
        return [float(each["rank"]) for each in completions]
    return [-float(each["score"]) for each in completions]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def completions_problem(row: dict[str, Any]) -> str:
    completions = row.get("completions")
    if not isinstance(completions, list) or not all(
        isinstance(c, dict) and isinstance(c.get("text"), str) for c in completions
    ):
        return 'has no "completions" that are a list of {"text"}'
    return _prompt_problem(row)


def demonstrations(path: Path, encoder: Encoder) -> list[Row]:
    return [
        Row(encoder.prompt(row["prompt"]), encoder.completion(row["completion"]))
        for row in read_rows(path, demonstration_problem)
    ]


def texts(path: Path, encoder: Encoder, *, max_length: int) -> list[Row]:
    """Pretraining rows: every token is predicted from those before it. Long texts are cut into pieces of max_length.

    Of a chat that ends with the assistant the last answer alone is predicted: what people ask is not for it to say.
    A seq2seq model reads the first half and predicts the second (prefix language modelling, arXiv 1910.10683, 3.2.3).
    """
    rows = []
    for row in read_rows(path, text_problem):
        if (answer := _last_answer(row, encoder)) and answer.length <= max_length:
            rows.append(answer)
            continue
        ids = encoder.text(row)
        for start in range(0, len(ids), max_length):
            piece = ids[start : start + max_length]
            seen = max(1, len(piece) // 2) if encoder.seq2seq else 1
            if len(piece) > 1:
                rows.append(Row(piece[:seen], piece[seen:]))
    if not rows:
        raise InputError(f"The texts of {path} are empty. Give texts with words in them.")
    return rows


def _last_answer(row: dict[str, Any], encoder: Encoder) -> Row | None:
    *before, last = row.get("messages") or [{"role": ""}]
    if not before or last["role"] != "assistant":
        return None
    return Row(encoder.prompt(before), encoder.completion(last["content"]))


def within(rows: list[T], *, length: Callable[[T], int], limit: int, what: str) -> list[T]:
    """The rows of at most `limit` tokens; says how many were left out. Raises InputError where none is left."""
    kept = [row for row in rows if length(row) <= limit]
    if len(kept) < len(rows):
        print(f"{len(rows) - len(kept)} of {len(rows)} {what} are longer than {limit} tokens and left out.", flush=True)
    if not kept:
        raise InputError(f"All {len(rows)} {what} are longer than max_length ({limit} tokens). Raise max_length.")
    return kept


def collate(rows: Sequence[Row], *, seq2seq: bool, pad: int, start: int, device: torch.device) -> Batch:
    """Rows as a Batch. A seq2seq decoder reads `start` where a causal model reads the prompt; the rest is the same."""
    prefixes = [[start]] * len(rows) if seq2seq else [row.prompt for row in rows]
    ids = pad_right([[*prefix, *row.completion] for prefix, row in zip(prefixes, rows, strict=True)], pad)
    starts = torch.tensor([len(prefix) for prefix in prefixes])[:, None]
    sizes = torch.tensor([len(row.completion) for row in rows])[:, None]
    place = torch.arange(ids.shape[1])[None]  # (1, T)
    predicts = (place >= starts - 1) & (place < starts + sizes - 1)
    if seq2seq:
        prompts = pad_right([row.prompt for row in rows], pad)
        inputs = {
            "input_ids": prompts,
            "attention_mask": lengths_mask([len(row.prompt) for row in rows], prompts.shape[1]).long(),
            "decoder_input_ids": ids,
        }
    else:
        # Padding on the right of a causal model needs no attention mask, and its position ids are those by default.
        inputs = {"input_ids": ids}
    return Batch(
        inputs={name: tensor.to(device) for name, tensor in inputs.items()},
        predicts=predicts.to(device),
        ends=(starts + sizes - 1)[:, 0].to(device),
        targets=torch.tensor([token for row in rows for token in row.completion], device=device),
        mask=lengths_mask([len(row.completion) for row in rows], int(sizes.max())).to(device),
    )


def pad_right(sequences: Sequence[Sequence[int]], pad: int) -> Tensor:
    longest = max(map(len, sequences))
    return torch.tensor([[*sequence, *[pad] * (longest - len(sequence))] for sequence in sequences])


def lengths_mask(lengths: Sequence[int], longest: int) -> Tensor:
    """(B, longest): True at the first `lengths[b]` places of row b."""
    return torch.arange(longest)[None] < torch.tensor(list(lengths))[:, None]


def epoch_batches(lengths: Sequence[int], *, batch_size: int, seed: int, epoch: int, group: bool) -> list[list[int]]:
    """One epoch's batches of row numbers, a function of the arguments alone; every row once.

    `group` sorts stretches of fifty batches by length before cutting them, then shuffles the batches.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    if group:
        stretch = batch_size * 50
        pieces = (order[i : i + stretch] for i in range(0, len(order), stretch))
        order = [i for piece in pieces for i in sorted(piece, key=lambda j: lengths[j])]
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    if group:
        batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
    return batches


class Order:
    """Which rows each step trains on: any step's can be asked for, so a resumed run needs to remember nothing."""

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int, group: bool) -> None:
        self.lengths, self.batch_size, self.seed, self.group = lengths, batch_size, seed, group
        self.steps_per_epoch = math.ceil(len(lengths) / batch_size)
        self._epoch, self._batches = -1, list[list[int]]()

    def total_steps(self, *, epochs: float, max_steps: int) -> int:
        by_epochs = math.ceil(epochs * self.steps_per_epoch)
        return min(by_epochs, max_steps) if max_steps and epochs else max_steps or by_epochs

    def batch(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._batches = epoch_batches(
                self.lengths, batch_size=self.batch_size, seed=self.seed, epoch=epoch, group=self.group
            )
        return self._batches[place]


class Long(Protocol):
    @property
    def length(self) -> int: ...


def parts(rows: Sequence[Long], *, token_budget: int) -> Iterator[list[int]]:
    """Row numbers in parts of at most token_budget padded tokens, like lengths together, at least a row each."""
    part: list[int] = []
    for i in sorted(range(len(rows)), key=lambda j: rows[j].length):
        if part and (len(part) + 1) * rows[i].length > token_budget:
            yield part
            part = []
        part.append(i)
    if part:
        yield part
