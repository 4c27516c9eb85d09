"""Texts as they are kept and compared, and the split and pool that follow from them.

A prompt's split is its author's, so that the people whose prompts test a model never trained it.
"""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from annotation.models import Pool, Split
from annotation.models.texts import Message
from annotation.refusals import Refused

TRAIN, VALIDATION = 80, 90  # of 100 buckets; the rest is for tests
SPEAKERS = ("user", "assistant")


def storable(text: str) -> str:
    """The text without what PostgreSQL can't keep: NUL, and halves of surrogate pairs. Each becomes U+FFFD."""
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def storable_json(value: Any) -> Any:
    """The same of all texts in it, names too. PostgreSQL's JSON knows no number that is none, or infinite: null."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {storable(str(name)): storable_json(each) for name, each in value.items()}
    return [storable_json(each) for each in value] if isinstance(value, list) else value


def cleaned(text: str, *, longest: int) -> str:
    """What a person wrote, ready to be kept: line ends as LF, nothing around it, neither empty nor too long."""
    text = storable(text).replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        raise Refused(_("The text is empty. Please write something."))
    if len(text) > longest:
        raise Refused(
            _("The text has %(found)d characters; at most %(longest)d are kept. Please shorten it.")
            % {"found": len(text), "longest": longest}
        )
    return text


def cleaned_messages(messages: Sequence[Any], *, longest: int) -> list[Message]:
    """A chat ready to be kept: at most one message of the system, then user and assistant by turns, the user's last."""
    kept = [_turn(message, longest=longest) for message in messages]
    turns = kept[1:] if kept and kept[0]["role"] == "system" else kept
    expected = [SPEAKERS[place % 2] for place in range(len(turns))]
    if not turns or len(turns) % 2 == 0 or [turn["role"] for turn in turns] != expected:
        found = ", ".join(message["role"] for message in kept) or _("none")
        raise Refused(
            _("The messages are by %(found)s; expected user and assistant by turns, the user first and last.")
            % {"found": found}
        )
    length = sum(len(message["content"]) for message in kept)
    if length > longest:
        raise Refused(
            _("The messages have %(found)d characters together; at most %(longest)d are kept. Please shorten them.")
            % {"found": length, "longest": longest}
        )
    return kept


def _turn(message: Any, *, longest: int) -> Message:
    if not isinstance(message, dict) or not isinstance(message.get("content"), str):
        raise Refused(_("A message must be an object with the texts “role” and “content”."))
    if message.get("role") not in (*SPEAKERS, "system"):
        raise Refused(
            _("A message's role is %(role)r; expected user, assistant or system.") % {"role": message.get("role")}
        )
    return {"role": message["role"], "content": cleaned(message["content"], longest=longest)}


def digest_of(messages: Sequence[Message]) -> str:
    """SHA-256 of the messages. Texts that differ only in white space or in Unicode form are equal."""
    plain = [[turn["role"], " ".join(unicodedata.normalize("NFC", turn["content"]).split())] for turn in messages]
    return hashlib.sha256(json.dumps(plain, ensure_ascii=False).encode()).hexdigest()


def split_for(project_id: int, author_id: int | None, digest: str) -> Split:
    """80% train, 10% validation, 10% test: by the author, or by the text where nobody is known to have written it."""
    source = digest if author_id is None else hashlib.sha256(f"{project_id}:{author_id}".encode()).hexdigest()
    bucket = int(source[:15], 16) % 100
    if bucket < TRAIN:
        return Split.TRAIN
    return Split.VALIDATION if bucket < VALIDATION else Split.TEST


def pool_for(digest: str) -> Pool:
    """Half of the texts feed the reward model, half the policy. Read from another end of the digest than the split."""
    return Pool.REWARD if int(digest[-2:], 16) < 128 else Pool.POLICY
