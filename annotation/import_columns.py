"""The columns of data sets on the Hugging Face hub, turned into ours before a row is checked (annotation.import_rows).

What a row names as we do stays as it is. What nobody knows here is left for the check to refuse, with what it found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Pair = tuple[Any, Any]  # the turns before an answer, if they are known, and the answer

CHATS = ("messages", "conversations", "conversation")
QUESTIONS = ("question", "query")
FURTHER = ("input", "context")  # what an instruction is about
ANSWERS = ("completion", "response", "output", "answer")
OUTPUTS = ("completions", "responses", "outputs", "answers")
SYSTEMS = ("system", "system_prompt")
SPEAKERS = {"human": "user", "prompter": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
STRUCTURED = ("prompt", "chosen", "rejected", *CHATS, *OUTPUTS, "ranks", "context")
NUMBERED = re.compile(r"(?:response|output|answer|completion|generation)_?(\d+|[a-k])")
SPOKEN = re.compile(r"(?:\A|\n\n)(Human|Assistant): ?")


def as_ours(kind: str, row: Row) -> Row:
    row = {name: value for name, value in row.items() if value is not None}
    chat = next((_turns(row[name]) for name in CHATS if isinstance(row.get(name), list)), None)
    if kind in ("completions", "rankings"):
        return _with_prompt(row | _outputs(kind, row), chat)
    if kind == "demonstrations":
        answer = _first("completion", row, ANSWERS)
        return row | _split(chat) if chat and not answer else _with_prompt(row | answer, None)
    asked = chat[:-1] if chat and _speaker(chat[-1]) == "assistant" else chat
    return _with_prompt(row, asked)


def _with_prompt(row: Row, chat: Any) -> Row:
    """The row with its prompt, whatever it was called, and what the system was told before."""
    prompt = row.get("prompt", chat or _question(row))
    system = next((row[name] for name in SYSTEMS if isinstance(row.get(name), str) and row[name].strip()), None)
    if prompt is None:
        return row
    if isinstance(prompt, str) and system:
        prompt = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    return row | {"prompt": _turns(prompt)}


def _question(row: Row) -> Any:
    if isinstance(row.get("context"), list):
        return row["context"]
    for name in QUESTIONS:
        found = row.get(name)
        if isinstance(found, dict):
            found = found.get("full_text")
        if isinstance(found, str):
            return found
    if not isinstance(row.get("instruction"), str):
        return None
    further = [row[name] for name in FURTHER if isinstance(row.get(name), str) and row[name].strip()]
    return "\n\n".join([row["instruction"], *further])


# ── Outputs of one prompt ────────────────────────────────────────────────────────────────────────────────────────────


def _outputs(kind: str, row: Row) -> Row:
    """`completions`, from a list by another name, from chosen and rejected, or from numbered columns."""
    if "chosen" in row and "rejected" in row:
        return _chosen(row)
    listed = next((row[name] for name in OUTPUTS if isinstance(row.get(name), list)), None)
    if listed is not None:
        return {"completions": [_entry(kind, row, at, each) for at, each in enumerate(listed)]}
    found = {match.group(1): value for name, value in row.items() if (match := NUMBERED.fullmatch(name))}
    if len(found) < 2:
        return {}
    marks = sorted(found, key=lambda mark: (len(mark), mark))
    ranks = _ranks(row, marks)
    return {
        "completions": [{"text": found[mark], **_model(row, mark), **_first("rank", ranks, [mark])} for mark in marks]
    }


def _entry(kind: str, row: Row, at: int, given: Any) -> Any:
    if isinstance(given, str) and (kind == "completions" or "ranks" in row):
        given = {"text": given}
    if not isinstance(given, dict):
        return given
    named = _first("text", given, ("text", "content", *ANSWERS)) | _first("model", given, ("model", "generator"))
    ranks = row.get("ranks")
    rank = ranks[at : at + 1] if isinstance(ranks, list) else []
    return given | named | ({"rank": rank[0]} if rank else {})


def _chosen(row: Row) -> Row:
    (asked, better), (_asked, worse) = _answer(row["chosen"]), _answer(row["rejected"])
    pair = [
        {"text": text, "rank": rank, **_first("model", row, [f"{name}_model"])}
        for rank, (name, text) in enumerate((("chosen", better), ("rejected", worse)), start=1)
    ]
    return {"completions": pair} | ({"prompt": asked} if asked else {})


def _answer(given: Any) -> Pair:
    """An answer alone, or at the end of a conversation: as messages, or with Human: and Assistant: before the turns."""
    if isinstance(given, str) and given.lstrip().startswith("Human:"):
        _before, *parts = SPOKEN.split("\n\n" + given.lstrip())
        speakers = {"Human": "user", "Assistant": "assistant"}
        given = [{"role": speakers[who], "content": said} for who, said in zip(parts[::2], parts[1::2], strict=True)]
    if not isinstance(given, list) or not given:
        return None, given
    turns = _turns(given)
    return turns[:-1], turns[-1].get("content") if isinstance(turns[-1], dict) else turns[-1]


def _ranks(row: Row, marks: Sequence[str]) -> Mapping[str, Any]:
    """What the row says of numbered outputs: ranks, scores (the most is best), which one is better, or j before k."""
    ranks = {mark: row[name] for mark in marks if (name := f"rank_{mark}") in row}
    scores = {mark: row[name] for mark in marks for name in (f"score_{mark}", f"rating_{mark}") if name in row}
    better = str(row.get("better_response_id", row.get("preference", "")))
    if ranks:
        return ranks
    if len(scores) == len(marks) and all(isinstance(score, int | float) for score in scores.values()):
        best_first = sorted(set(scores.values()), reverse=True)
        return {mark: best_first.index(score) + 1 for mark, score in scores.items()}
    if better in marks:
        return {mark: 1 if mark == better else 2 for mark in marks}
    return {"j": 1, "k": 2} if list(marks) == ["j", "k"] else {}


def _model(row: Row, mark: str) -> Row:
    return _first("model", row, (f"model_{mark}", f"generator_{mark}"))


# ── Conversations ────────────────────────────────────────────────────────────────────────────────────────────────────


def _turns(given: Any) -> Any:
    """Messages with role and content, from those with from and value too. What is none stays for the check."""
    if not isinstance(given, list):
        return given
    return [_turn(each) if isinstance(each, dict) else each for each in given]


def _turn(message: Row) -> Row:
    role = message.get("role", message.get("from"))
    content = message.get("content", message.get("value", message.get("text")))
    return {"role": SPEAKERS.get(role, role) if isinstance(role, str) else role, "content": content}


def _split(chat: Sequence[Any]) -> Row:
    """The last answer, and what was said before it."""
    if _speaker(chat[-1]) != "assistant":
        return {"prompt": list(chat)}
    return {"prompt": list(chat[:-1]), "completion": chat[-1].get("content")}


def _speaker(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _first(name: str, row: Mapping[str, Any], names: Sequence[str]) -> Row:
    """The first of these columns that is there, by our name."""
    return next(({name: row[each]} for each in names if row.get(each) is not None), {})
