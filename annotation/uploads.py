"""Files on their way into a project: kept, looked through, confirmed by whoever brought them, imported.

Small files are worked through at once, the others in a worker. The row in the database says what is to be done; a
message is only a nudge. A pass over a file holds the row's lock and ends with its transaction, so that it happens once
however often it is asked for, and begins anew where a worker died: a few times, as the file may be what kills it.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from annotation import importing, passes
from annotation.import_rows import ImportedRow
from annotation.messages import nudge
from annotation.models import Project, Upload, UploadState, User
from annotation.refusals import Refused
from annotation.wording import storable

KEPT = timedelta(days=2)
MOST_BEGUN = 3
MOST_HELD = 20  # files of one project that wait for somebody, as they take up disk
LONGEST_SHOWN = 600
TASK = "annotation.tasks.carry_on"


def receive(
    project: Project, kind: str, file: UploadedFile[Any], *, user: User, keep_good: bool | None = None
) -> Upload:
    """Keep the file and have it looked through. `keep_good`: what is to become of it then; None: wait for `confirm`."""
    if project.uploads.exclude(state=UploadState.DONE).count() >= MOST_HELD:
        raise Refused(_("%(most)d files wait already. Import or forget some of them first.") % {"most": MOST_HELD})
    name = storable(file.name or "")[-200:]  # with its ending
    with transaction.atomic():
        upload = Upload.objects.create(
            project=project, kind=kind, name=name, size=file.size or 0, user=user, keep_good=keep_good,
            language=get_language() or settings.LANGUAGE_CODE,
        )  # fmt: skip
        upload.path.parent.mkdir(parents=True, exist_ok=True)
        with upload.path.open("wb") as kept:
            for chunk in file.chunks():
                kept.write(chunk)
    return _begun(upload)


def confirm(upload: Upload, *, keep_good: bool) -> Upload:
    """Import what was looked through. Sent twice it happens once."""
    if upload.bad and not keep_good:
        raise Refused(
            _("Some lines can't be used. Correct the file and bring it again, or import the good lines alone.")
        )
    with transaction.atomic():
        current = Upload.objects.select_for_update().get(pk=upload.pk)
        if current.state == UploadState.CHECKED:
            current.keep_good, current.state = keep_good, UploadState.CONFIRMED
            current.save()
    return _begun(current)


def discard(upload: Upload) -> None:
    """Forget a file that nobody wants any more. One that is just worked on stays until that is done."""
    with transaction.atomic():
        found = Upload.objects.select_for_update(skip_locked=True).filter(pk=upload.pk).first()
        if found is None:
            raise Refused(_("The file is being worked on."))
        if found.state == UploadState.DONE:
            raise Refused(_("The file is imported already."))
        forget(found)


def forget(upload: Upload) -> None:
    """Remove the file and that it was ever brought; not what was imported of it."""
    Upload.objects.filter(pk=upload.pk).delete()
    transaction.on_commit(lambda: _clear(upload))


def stop(upload: Upload) -> None:
    """Have no more of it looked through or imported: at once, or by whoever is at it after the next few lines."""
    with transaction.atomic():
        free = Upload.objects.select_for_update(skip_locked=True).filter(pk=upload.pk).first()
        if free is None:
            passes.ask_to_stop(upload)
        elif free.is_waiting:
            free.state = UploadState.STOPPED
            free.save()
            passes.end(free)
        else:
            raise Refused(_("The file is not being worked on any more."))


def begin_again(upload: Upload) -> Upload:
    """Work through what was broken off once more from its beginning, as was decided before."""
    with transaction.atomic():
        current = Upload.objects.select_for_update().get(pk=upload.pk)
        if current.is_broken_off:
            current.state, current.failure = UploadState.RECEIVED, ""
            current.save()
            passes.end(current)
    return _begun(current)


def carry_on(upload_id: int) -> None:
    """Do what is to be done next on a file, and what follows from that. Nothing, where somebody is at it."""
    try:
        while _one_pass(upload_id):
            pass
    except Exception as error:
        failure = {"state": UploadState.FAILED, "failure": f"{type(error).__name__}: {error}"}
        Upload.objects.filter(pk=upload_id).update(**failure)
        raise


def sweep() -> None:
    """Remind the workers of what waits, and forget files about which nobody has said a word for days."""
    for pk in Upload.objects.waiting().values_list("pk", flat=True):
        nudge(TASK, pk)
    for old in Upload.objects.resting().filter(changed_at__lt=timezone.now() - KEPT):
        discard(old)


def _begun(upload: Upload) -> Upload:
    if upload.is_small:
        carry_on(upload.pk)
    else:
        nudge(TASK, upload.pk)
    upload.refresh_from_db()
    return upload


@transaction.atomic
def _one_pass(upload_id: int) -> bool:
    """Whether there is another pass to make."""
    free = Upload.objects.waiting().select_for_update(of=("self",), skip_locked=True)
    upload = free.select_related("project", "user").filter(pk=upload_id).first()
    if upload is None or (upload.state == UploadState.CONFIRMED and not importing.alone(upload.project)):
        return False
    begun = passes.begin(upload)
    with override(upload.language):
        if begun > MOST_BEGUN:
            upload.state = UploadState.FAILED
            upload.failure = _("The worker ended in the middle of it %(times)d times. Its log may say why.") % {
                "times": MOST_BEGUN
            }
        else:
            steps = {UploadState.RECEIVED: _look_through, UploadState.CONFIRMED: _import}
            with upload.path.open("rb") as file:
                steps[UploadState(upload.state)](upload, file, partial(passes.tell, upload, begun))
    passes.end(upload)
    upload.save()
    return upload.is_waiting


def _look_through(upload: Upload, file: IO[bytes], tell: importing.Told) -> None:
    found = importing.look_through(upload.project, upload.kind, file, name=upload.name, tell=tell)
    upload.good, upload.bad, upload.errors = found.rows, found.bad, found.errors
    upload.sample = [as_shown(line, row) for line, row in found.sample]
    if found.stopped:
        upload.state = UploadState.STOPPED
        return
    decided = upload.keep_good or (upload.keep_good is not None and not upload.bad)
    upload.state = UploadState.CONFIRMED if decided else UploadState.CHECKED


def _import(upload: Upload, file: IO[bytes], tell: importing.Told) -> None:
    """What has become bad meanwhile, as the project's limits have, keeps the file out as it would have before."""
    report = importing.import_rows(
        upload.project, upload.kind, file, user=upload.user, keep_good=bool(upload.keep_good), name=upload.name,
        tell=tell,
    )  # fmt: skip
    before = upload.rows if upload.keep_good else 0  # of a pass that was stopped: they stayed, and are repeats now
    upload.rows, upload.repeats = before + report.rows, max(0, report.repeats - before)
    upload.bad, upload.errors = report.bad, report.errors
    if report.stopped:
        upload.state = UploadState.STOPPED
        return
    if report.bad and not upload.keep_good:
        upload.state = UploadState.CHECKED
        return
    upload.state = UploadState.DONE
    transaction.on_commit(lambda: _clear(upload))


def as_shown(line: int, row: ImportedRow) -> dict[str, Any]:
    """A row as it was understood, for a person to look at: long texts cut, outputs from best to worst."""
    about = (row.prompt.kind, row.prompt.use_case, row.prompt.language, row.prompt.split, row.annotator)
    return {
        "line": line,
        "messages": [turn | {"content": _cut(turn["content"])} for turn in row.prompt.messages],
        "text": _cut(row.text),
        "outputs": [
            {"text": _cut(each.text), "model": each.model, "rank": each.rank}
            for each in sorted(row.completions, key=lambda each: each.rank)
        ],
        "about": [str(each) for each in about if each],
    }


def _cut(text: str) -> str:
    return Truncator(text).chars(LONGEST_SHOWN)


def _clear(upload: Upload) -> None:
    upload.path.unlink(missing_ok=True)
    passes.end(upload)
