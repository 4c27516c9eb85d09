"""One question to an external model and its answer, by the chat completions API that many servers speak."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeGuard

from annotation.models.texts import Message
from annotation.wording import storable
from training.external import secrets
from training.external.addresses import parse, resolve
from training.external.connection import Reply, post
from training.external.problems import EndpointError, Problem
from training.models import ExternalModel

LONGEST_DETAIL = 300
BY_STATUS = {401: Problem.KEY_REFUSED, 403: Problem.KEY_REFUSED, 404: Problem.NOT_THERE}
BUSY = (408, 409, 425, 429)


@dataclass(frozen=True)
class Answer:
    """`about` is what is kept of how it came to be."""

    text: str
    about: dict[str, Any]
    seed: int | None


def ask(model: ExternalModel, messages: list[Message], *, seed: int) -> Answer:
    """EndpointError says why there is no answer. Nothing of the key is in either."""
    target = resolve(parse(model.base_url))
    key = secrets.opened(model.sealed_key)
    reply = post(target, _question(model, messages, seed), key=key)
    if reply.status != 200:
        raise EndpointError(_problem(reply.status), _reason(reply, key), wait=reply.wait)
    text, told = _read(reply.content)
    if key and any(key in words for words in (text, *told.values())):
        raise EndpointError(Problem.NO_ANSWER, "key")
    if not text:
        raise EndpointError(Problem.EMPTY)
    longest = model.project.max_answer_characters
    if len(text) > longest:
        raise EndpointError(Problem.TOO_LONG, longest)
    about = {name: _short(words, 200) for name, words in told.items()} | _tokens(reply.content)
    return Answer(text, model.settings() | about, seed if model.sends_seed else None)


def _question(model: ExternalModel, messages: list[Message], seed: int) -> dict[str, Any]:
    """Settings that were left empty are not sent: some servers refuse what they don't know."""
    first = [{"role": "system", "content": model.system}] if model.system else []
    content: dict[str, Any] = {"model": model.model, "messages": [*first, *messages], "stream": False}
    content |= {name: value for name, value in model.sampling().items() if value is not None}
    return content | ({"seed": seed} if model.sends_seed else {})


def _read(content: Any) -> tuple[str, dict[str, str]]:
    """The text, and what the answer says of itself, as far as that is in words."""
    try:
        choice = content["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise EndpointError(Problem.NO_ANSWER, "choices[0].message.content") from None
    if not isinstance(text, str):
        raise EndpointError(Problem.NO_ANSWER, "choices[0].message.content")
    told = {"answered_by": content.get("model"), "fingerprint": content.get("system_fingerprint")}
    told |= {"finish_reason": choice.get("finish_reason"), "answer": content.get("id")}
    return storable(text).strip(), {name: words for name, words in told.items() if isinstance(words, str)}


def _tokens(content: Any) -> dict[str, int]:
    """How many the text has, where the answer tells."""
    used = content.get("usage")
    tokens = used.get("completion_tokens") if isinstance(used, dict) else None
    return {"tokens": tokens} if _is_count(tokens) else {}


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10_000_000


def _problem(status: int) -> Problem:
    if 300 <= status < 400:
        return Problem.SENDS_ELSEWHERE
    if status in BUSY:
        return Problem.BUSY
    return BY_STATUS.get(status) or (Problem.REFUSED if 400 <= status < 500 else Problem.FAILED)


def _reason(reply: Reply, key: str) -> str:
    """The status and the endpoint's own words. Some repeat the key, or its beginning and end: no such word is kept."""
    error = reply.content.get("error") if isinstance(reply.content, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    words = said if isinstance(said, str) else ""
    if key:
        words = re.sub(rf"\S*{re.escape(key[:4])}\S*", "…", words.replace(key, "…"))
    return _short(f"{reply.status} {words}", LONGEST_DETAIL)


def _short(text: str, longest: int) -> str:
    """On one line, without what PostgreSQL can't keep."""
    return " ".join(storable(text).split())[:longest]
