"""What every page of ours may use: safe Markdown, a project's tabs, names of languages and flags."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf.locale import LANG_INFO
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation import access, rendering
from annotation.models import Project, Role

register = template.Library()

DEFAULT_FLAG_LABELS = {
    "fails_instruction": _("Fails to follow the instruction"),
    "inappropriate": _("Inappropriate for a customer assistant"),
    "hallucination": _("Hallucination"),
    "satisfies_constraint": _("Satisfies the stated constraint"),
    "sexual_content": _("Sexual content"),
    "violent_content": _("Violent content"),
    "encourages_harm": _("Encourages or fails to discourage harm"),
    "denigrates": _("Denigrates a protected class"),
    "harmful_advice": _("Gives harmful advice"),
    "opinion": _("Expresses opinion"),
    "moral_judgment": _("Expresses moral judgment"),
}


@register.filter
def markdown(text: str) -> SafeString:
    return rendering.render(text)


@register.filter
def language_name(code: str) -> str:
    """A language's own name, or its code where Django doesn't know it."""
    known = LANG_INFO.get(code.lower(), {})
    return str(known.get("name_local", code)).capitalize()


@register.filter
def flag_label(flag: dict[str, str]) -> str:
    """The default flags are translated; a project's own are shown as its admin wrote them."""
    default = DEFAULT_FLAG_LABELS.get(flag["key"])
    untouched = default is not None and getattr(default, "_proxy____args", ("",))[0] == flag["label"]
    return gettext(flag["label"]) if untouched else flag["label"]


@register.inclusion_tag("annotation/project_tabs.html", takes_context=True)
def project_tabs(context: dict[str, Any], project: Project, current: str) -> dict[str, Any]:
    """The tabs of a project's pages that this person may open; `current` is the URL name of the page shown."""
    user = context["request"].user
    return {
        "project": project,
        "current": current,
        "may_annotate": access.can(user, project, Role.ANNOTATOR),
        "may_research": access.can(user, project, Role.RESEARCHER),
        "may_administer": access.can(user, project, Role.ADMIN),
    }
