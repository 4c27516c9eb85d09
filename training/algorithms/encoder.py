"""Prompts and completions as token ids, written in the same way by every stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.algorithms.errors import InputError

Prompt = str | list[dict[str, str]]
Tokenizer = Any  # transformers' tokenizers carry no types worth naming


class Encoder:
    """Writes prompts and completions as token ids, the same way in every stage."""

    def __init__(self, tokenizer: Tokenizer, *, seq2seq: bool) -> None:
        self.tokenizer, self.seq2seq = tokenizer, seq2seq
        self.eos: int = tokenizer.eos_token_id
        # What a person wrote must not be read as a marker of roles or as the end.
        self._specials = sorted(tokenizer.all_special_tokens, key=len, reverse=True)

    def prompt(self, prompt: Prompt) -> list[int]:
        """The prompt up to where the completion begins: through the chat template where the tokenizer has one."""
        if self.tokenizer.chat_template:
            messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            return self._plain(self._rendered(messages, answer_follows=True))
        text = prompt if isinstance(prompt, str) else _transcript(prompt)
        ids: list[int] = self.tokenizer(self._clean(text)).input_ids
        if self.seq2seq:
            return ids
        while ids and ids[-1] == self.eos:
            ids = ids[:-1]
        return ids or [self._start()]

    def completion(self, text: str, *, ended: bool = True) -> list[int]:
        """The completion and, where it ended by itself, EOS."""
        return self._plain(self._clean(text)) + ([self.eos] if ended else [])

    def text(self, row: dict[str, Any]) -> list[int]:
        """A row of pretraining text ({"text"} or {"messages"}) with EOS at its end."""
        if "messages" not in row:
            return [*self._plain(self._clean(row["text"])), self.eos]
        messages = row["messages"]
        rendered = (
            self._rendered(messages) if self.tokenizer.chat_template else _transcript(messages, answer_follows=False)
        )
        ids = self._plain(rendered)
        return ids if ids and ids[-1] == self.eos else [*ids, self.eos]

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _rendered(self, messages: list[dict[str, str]], *, answer_follows: bool = False) -> str:
        cleaned = [{"role": m["role"], "content": self._clean(m["content"])} for m in messages]
        try:
            text: str = self.tokenizer.apply_chat_template(
                cleaned, tokenize=False, add_generation_prompt=answer_follows
            )
        except Exception as error:  # jinja2 raises whatever the template's author chose
            raise InputError(
                f"The tokenizer's chat template refuses a prompt: {error}. Change the prompt's roles."
            ) from error
        return text

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def _clean(self, text: str) -> str:
        for special in self._specials:
            text = text.replace(special, "")
        return text

    def _start(self) -> int:
        bos = self.tokenizer.bos_token_id
        return self.eos if bos is None else int(bos)


def _transcript(messages: list[dict[str, str]], *, answer_follows: bool = True) -> str:
    """A chat as text, for tokenizers without a template."""
    lines = [f"{message['role'].capitalize()}: {message['content']}" for message in messages]
    return "\n\n".join([*lines, "Assistant:"] if answer_follows else lines)
