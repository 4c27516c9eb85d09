"""The keys of the ranking page: what each does, what a person may choose instead, and whether they are on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.blinding import LETTERS
from annotation.models import User
from annotation.refusals import Refused

DEFAULTS = {
    "previous": "ArrowLeft", "next": "ArrowRight", "tie": "=", "clear": "0", "line": "l", "flags": "x", "note": "n",
    "compare": "v", "plain": "p", "help": "?",
}  # fmt: skip
LABELS = {
    "previous": gettext_lazy("the output before"),
    "next": gettext_lazy("the next output"),
    "tie": gettext_lazy("tie it with the one above"),
    "clear": gettext_lazy("take its rank away"),
    "line": gettext_lazy("draw the line: acceptable down to here"),
    "flags": gettext_lazy("open or close its flags"),
    "note": gettext_lazy("write a note (Esc comes back)"),
    "compare": gettext_lazy("show the differences to another output"),
    "plain": gettext_lazy("Markdown, or the text as written"),
    "help": gettext_lazy("show this"),
}
NAMED = ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown", "Backspace", "Delete")
TAKEN = {*LETTERS, *"123456789"}


def of(person: User) -> dict[str, Any]:
    """`on`, and the key of each action."""
    return {"on": person.shortcuts.get("on", True), "keys": DEFAULTS | person.shortcuts.get("keys", {})}


def keep(person: User, sent: Mapping[str, str]) -> None:
    """Keep what the person chose: `on` is yes or no, the rest are keys by action; what is left out is the default."""
    keys = {action: _checked(sent[action]) for action in DEFAULTS if sent.get(action)}
    chosen = list((DEFAULTS | keys).values())
    if doubled := sorted({key for key in chosen if chosen.count(key) > 1}):
        raise Refused(_("The key %(key)s stands for two things. Each needs a key of its own.") % {"key": doubled[0]})
    changed = {action: key for action, key in keys.items() if key != DEFAULTS[action]}
    person.shortcuts = {"on": sent.get("on") != "no", "keys": changed}
    person.save(update_fields=["shortcuts"])


def _checked(key: str) -> str:
    key = key if key in NAMED else key.lower()
    if key not in NAMED and (len(key) != 1 or not key.isprintable() or key.isspace()):
        raise Refused(_("%(key)r is no key that can be chosen: take a single character or an arrow.") % {"key": key})
    if key in TAKEN:
        raise Refused(_("The key %(key)s is taken: letters go to outputs and digits are ranks.") % {"key": key.upper()})
    return key
