"""External models: registered, changed, looked at and removed by a project's admins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.audit import record
from annotation.models import Generator, GeneratorKind, Project, User
from annotation.refusals import Refused
from training.auditing import Action
from training.external import secrets
from training.external.addresses import Place, parse
from training.messages import nudge
from training.models import ExternalModel

LONGEST_KEY = 500


def register(project: Project, *, name: str, key: str, values: Mapping[str, Any], by: User) -> ExternalModel:
    """A generator of the project that answers at an address; a first call, in a worker, shows whether it does."""
    parse(values["base_url"])
    with transaction.atomic():
        try:
            with transaction.atomic():
                generator = Generator.objects.create(project=project, kind=GeneratorKind.EXTERNAL, name=name)
        except IntegrityError:
            raise Refused(
                _("There is a generator named {name} already. Choose another name.").format(name=name)
            ) from None
        model = ExternalModel(project=project, generator=generator, changed_by=by, **values)
        model.sealed_key = secrets.sealed(checked(key))
        model.save()
        record(Action.EXTERNAL_ADDED, actor=by, project=project, model=generator.name, host=parse(model.base_url).host)
        nudge("ask_external", model.pk)
    return model


def change(model: ExternalModel, *, key: str, values: Mapping[str, Any], by: User) -> None:
    """Its settings, and its key where one is given. A key stays where it was given for: another place needs it anew."""
    with transaction.atomic():
        current = ExternalModel.objects.select_for_update(of=("self",)).get(pk=model.pk)
        if current.removed_at is not None:
            raise Refused(_("The external model was removed."))
        moves = _leads(parse(current.base_url)) != _leads(parse(values["base_url"]))
        if current.has_key and moves and not key:
            raise Refused(
                _("The address leads to another place, which has not been given the key. Enter the key again.")
            )
        for name, value in values.items():
            setattr(current, name, value)
        if key:
            current.sealed_key = secrets.sealed(checked(key))
        _look_again(current, by)
        record(
            Action.EXTERNAL_CHANGED, actor=by, project=current.project, model=current.name,
            host=parse(current.base_url).host,
        )  # fmt: skip
    model.refresh_from_db()


def look_again(model: ExternalModel, *, by: User) -> None:
    """Make the first call anew, and go on with what waits where it answers."""
    with transaction.atomic():
        current = ExternalModel.objects.select_for_update(of=("self",)).get(pk=model.pk)
        if current.removed_at is not None:
            raise Refused(_("The external model was removed."))
        _look_again(current, by)


def remove(model: ExternalModel, *, by: User) -> None:
    """Forget its key and ask nothing more of it. What it answered stays, and so does its name."""
    with transaction.atomic():
        current = ExternalModel.objects.select_for_update(of=("self",)).get(pk=model.pk)
        if current.removed_at is not None:
            return
        current.sealed_key, current.removed_at, current.changed_by = "", timezone.now(), by
        current.save()
        record(Action.EXTERNAL_REMOVED, actor=by, project=current.project, model=current.name)
        nudge("ask_external", current.pk)  # what waits for it is given up there


def checked(key: str) -> str:
    """Refused unless it can stand in a header: it is never shown, not even here."""
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key or len(key) > LONGEST_KEY:
        raise Refused(
            _("This is no key: expected at most %(most)d letters, digits and signs without a space.")
            % {"most": LONGEST_KEY}
        )
    return key


def _leads(place: Place) -> tuple[str, str, int]:
    return place.scheme, place.host, place.port


def _look_again(model: ExternalModel, by: User) -> None:
    model.checked_at, model.problem, model.detail, model.stopped = None, "", "", False
    model.next_call_at, model.changed_by = timezone.now(), by
    model.save()
    nudge("ask_external", model.pk)
