"""What somebody is told about a text while they write it: for them to judge, and never a reason to refuse it."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.text import Truncator
from django.utils.translation import gettext as _

from annotation.likeness import alike
from annotation.models import Project
from annotation.models.texts import Message
from annotation.personal_data import personal_data

EXCERPT = 160


def of_text(text: str) -> list[str]:
    return [
        _("This looks like %(kind)s: %(text)s. Take it out, unless it is made up.")
        % {"kind": kind.label, "text": found}
        for kind, found in personal_data(text)
    ]


def of_instruction(project: Project, messages: Sequence[Message], *, besides: int | None = None) -> list[str]:
    """`besides`: the instruction that is being edited."""
    near = [
        _("The project has an instruction much like this one (%(percent)d%% the same): %(text)s")
        % {"percent": round(100 * like.likeness), "text": Truncator(like.text).chars(EXCERPT)}
        for like in alike(project, messages, besides=besides)
    ]
    return near + of_text("\n".join(turn["content"] for turn in messages))
