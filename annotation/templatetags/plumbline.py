"""What every page of ours may use: safe Markdown, a project's tabs, names of languages and flags."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.conf.locale import LANG_INFO
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_noop

from annotation import access, money, rendering
from annotation.models import Project, PromptKind, Role, Split, UseCase

register = template.Library()

# The flags that a project starts with (annotation.models.projects), named here for translation.
DEFAULT_FLAG_LABELS = (
    gettext_noop("Fails to follow the instruction"),
    gettext_noop("Inappropriate for a customer assistant"),
    gettext_noop("Hallucination"),
    gettext_noop("Satisfies the stated constraint"),
    gettext_noop("Sexual content"),
    gettext_noop("Violent content"),
    gettext_noop("Encourages or fails to discourage harm"),
    gettext_noop("Denigrates a protected class"),
    gettext_noop("Gives harmful advice"),
    gettext_noop("Expresses opinion"),
    gettext_noop("Expresses moral judgment"),
)

# Django knows Chinese by its scripts alone, and people's texts are often said to be in Chinese and no more.
OWN_NAMES = {code: str(known["name_local"]) for code, known in LANG_INFO.items() if "name_local" in known} | {
    "zh": "中文"
}


@register.filter
def markdown(text: str) -> SafeString:
    return rendering.render(text)


@register.filter
def language_name(code: str) -> str:
    """A language's own name, or its code where we don't know it."""
    return OWN_NAMES.get(code.lower(), code).capitalize()


@register.filter
def role_name(role: str) -> str:
    return str(Role(role).label)


@register.filter
def hours(time: timedelta) -> str:
    """Hours, minutes and seconds, without days: 32:05:00, 0:03:20."""
    minutes, seconds = divmod(round(time.total_seconds()), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


@register.filter
def choice_label(value: str) -> str:
    """What an instruction's kind, use case or split is called; else it is a language, or a name."""
    named = {str(each.value): str(each.label) for choices in (PromptKind, UseCase, Split) for each in choices}
    return named.get(value) or (language_name(value) if value.lower() in OWN_NAMES else value)


@register.filter
def rate(amount: Decimal, currency: str) -> str:
    return money.as_rate(amount, currency)


@register.filter
def pay(amount: Decimal | None, currency: str) -> str:
    """Nothing, where nothing was agreed."""
    return "" if amount is None else money.as_pay(amount, currency)


@register.filter
def flag_label(flag: dict[str, str]) -> str:
    """The default flags are translated; a project's own are shown as its admin wrote them."""
    return gettext(flag["label"]) if flag["label"] in DEFAULT_FLAG_LABELS else flag["label"]


@register.inclusion_tag("annotation/project_tabs.html", takes_context=True)
def project_tabs(context: dict[str, Any], project: Project, current: str) -> dict[str, Any]:
    """The tabs of a project's pages that this person may open; `current` is the URL name of the page shown."""
    roles = access.roles_of(context["request"].user, project)
    return {
        "project": project,
        "current": current,
        "may_annotate": Role.ANNOTATOR in roles,
        "may_review": Role.REVIEWER in roles,
        "may_research": Role.RESEARCHER in roles,
        "may_administer": Role.ADMIN in roles,
    }
