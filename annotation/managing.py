"""What admins do with a project as a whole: create it, copy it, change its settings and texts, put it away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from annotation import audit
from annotation.audit import Action
from annotation.models import Guidelines, Membership, Project, Role, Terms, User
from annotation.refusals import Refused
from annotation.wording import cleaned

SETTINGS = (
    "name", "description", "k", "overlap", "wide_percent", "wide_overlap", "instructions_wanted",
    "demonstrations_per_prompt", "languages", "flags", "lease_minutes", "max_prompt_characters",
    "max_answer_characters", "currency",
)  # fmt: skip
SCREENING = (
    "qualification_pieces", "qualification_bar", "qualification_answers", "qualification_accepted", "gold_share",
    "repeat_share",
)  # fmt: skip
PUBLISHED: dict[type[Guidelines | Terms], Action] = {
    Guidelines: Action.GUIDELINES_PUBLISHED,
    Terms: Action.TERMS_PUBLISHED,
}
LONGEST_TEXT = 100_000


@transaction.atomic
def create(*, by: User, slug: str, **settings: Any) -> Project:
    """A new project, of which the person is the admin."""
    project = _saved(Project(slug=slug, **settings))
    Membership.objects.create(project=project, user=by, role=Role.ADMIN)
    audit.record(Action.PROJECT_CREATED, actor=by, project=project, name=project.name)
    return project


@transaction.atomic
def copy(project: Project, *, by: User, name: str, slug: str, with_members: bool = False) -> Project:
    """A new project with the settings of this one and the guidelines and terms in force; no data, and no screening.

    Copied members keep their roles, languages, use cases and caps. What they agreed to, they are asked anew.
    """
    settings = {field: getattr(project, field) for field in SETTINGS} | {"name": name}
    made = _saved(Project(slug=slug, **settings))
    for text in (project.current_guidelines(), project.current_terms()):
        if text is not None:
            type(text).objects.create(project=made, version=1, text=text.text, created_by=by)
    members = [
        Membership(
            project=made,
            user_id=old.user_id,
            role=old.role,
            languages=old.languages,
            use_cases=old.use_cases,
            daily_cap=old.daily_cap,
        )
        for old in (project.memberships.all() if with_members else ())
    ]
    copier = Membership(project=made, user=by, role=Role.ADMIN)
    Membership.objects.bulk_create([*members, copier], ignore_conflicts=True)
    people = len({each.user_id for each in members})
    audit.record(Action.PROJECT_COPIED, actor=by, project=made, name=name, source=project.name, people=people)
    return made


def archive(project: Project, *, by: User) -> None:
    """Nothing is handed out any more. What was collected stays, and what is in work can be submitted."""
    with transaction.atomic():
        if Project.objects.filter(pk=project.pk, archived_at=None).update(archived_at=Now()):
            audit.record(Action.PROJECT_ARCHIVED, actor=by, project=project, name=project.name)
    project.refresh_from_db(fields=["archived_at"])


def reopen(project: Project, *, by: User) -> None:
    with transaction.atomic():
        if Project.objects.filter(pk=project.pk, archived_at__isnull=False).update(archived_at=None):
            audit.record(Action.PROJECT_REOPENED, actor=by, project=project, name=project.name)
    project.refresh_from_db(fields=["archived_at"])


@transaction.atomic
def change(project: Project, *, by: User, settings: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Change those of SETTINGS and SCREENING that are given; what changed, with the old value and the new one."""
    current = Project.objects.select_for_update().get(pk=project.pk)
    changed = {
        name: [getattr(current, name), value] for name, value in settings.items() if getattr(current, name) != value
    }
    if "currency" in changed and project.pay_rates.exists():
        raise Refused(_("Rates of pay are set in %s already, so the currency stays.") % current.currency)
    if changed:
        for name, (_old, new) in changed.items():
            setattr(current, name, new)
        _saved(current, fields=list(changed))
        audit.record(Action.SETTINGS_CHANGED, actor=by, project=project, changes=changed)
    project.refresh_from_db()
    return changed


@transaction.atomic
def publish(kind: type[Guidelines | Terms], project: Project, *, by: User, text: str) -> Guidelines | Terms:
    """The next version of the guidelines or terms. Whoever publishes at the same moment comes before or after."""
    Project.objects.select_for_update().get(pk=project.pk)
    text = cleaned(text, longest=LONGEST_TEXT)
    last = kind._default_manager.filter(project=project).order_by("-version").first()
    if last is not None and last.text == text:
        raise Refused(_("This is what version %d says already.") % last.version)
    version = 1 if last is None else last.version + 1
    made = kind._default_manager.create(project=project, version=version, text=text, created_by=by)
    audit.record(PUBLISHED[kind], actor=by, project=project, version=version)
    return made


def _saved(project: Project, *, fields: list[str] | None = None) -> Project:
    try:
        project.full_clean()
    except ValidationError as error:
        raise Refused(_said(error)) from error
    project.save(update_fields=fields)
    return project


def _said(error: ValidationError) -> str:
    """The first message of each field, after the field's name."""
    parts = []
    for name, messages in error.message_dict.items():
        field = None if name == "__all__" else Project._meta.get_field(name)
        parts.append(messages[0] if field is None else f"{field.verbose_name}: {messages[0]}")  # type: ignore[union-attr]
    return " ".join(parts)
