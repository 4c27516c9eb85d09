"""`manage.py rotate_endpoint_secret`: the keys of external models under another secret."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from training.external import secrets
from training.models import ExternalModel


class Command(BaseCommand):
    help = (
        "Encrypt the keys of external models anew: under the first of ENDPOINT_SECRETS, or where there are none, under "
        "a new secret in the data folder. Keys that no secret opens are named, and nothing is changed."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        file = None if settings.ENDPOINT_SECRETS else secrets.secrets_file()
        if file is not None:  # until all keys are under the new one both open
            old = file.read_text().split() if file.exists() else []
            _write(file, [Fernet.generate_key().decode(), *old])
        count = _reseal()
        if file is not None:
            _write(file, file.read_text().split()[:1])
        self.stdout.write(f"{count} keys are encrypted under the new secret.")


def _reseal() -> int:
    with transaction.atomic():
        models = list(ExternalModel.objects.select_for_update(of=("self",)).exclude(sealed_key=""))
        for model in models:
            try:
                model.sealed_key = secrets.resealed(model.sealed_key)
            except InvalidToken:
                raise CommandError(
                    f"The key of external model {model.pk} ({model}) was encrypted with a secret from elsewhere. Enter "
                    "it again on its page, or remove the model; then rotate."
                ) from None
            model.save(update_fields=["sealed_key"])
    return len(models)


def _write(file: Path, lines: list[str]) -> None:
    """Whole or not at all, readable by its owner alone."""
    with NamedTemporaryFile("w", dir=file.parent, prefix=".", delete=False) as draft:
        draft.write("\n".join(lines))
        draft.flush()
        os.fsync(draft.fileno())
    Path(draft.name).replace(file)
