"""Published models to the Hugging Face hub, in a process of a worker's: neither web nor worker talks to it itself."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.audit import record
from annotation.models import User
from annotation.refusals import Refused
from config.env import env_str
from training import commands, registry
from training.alone import alone
from training.auditing import Action
from training.messages import nudge
from training.models import Policy, Push, PushState, RewardModel

log = logging.getLogger(__name__)

LOCKS = 1_886_745_956  # the class of our advisory locks, so that they meet nobody else's
HOURS = 12
TOKEN = "HF_TOKEN"  # noqa: S105 - the name of the variable


def has_token() -> bool:
    return bool(env_str(TOKEN))


def of(model: Policy | RewardModel) -> QuerySet[Push]:
    """Its pushes, the newest first."""
    return Push.objects.filter(**_named(model))


def start(model: Policy | RewardModel, *, repository: str, public: bool, by: User) -> Push:
    """Have a worker push it. Refused for a policy that was never published, and for a model that is not in a folder."""
    if not has_token():
        raise Refused(
            _("No token of the hub is set. Have the operator set HF_TOKEN for the web server and the workers.")
        )
    if isinstance(model, Policy) and model.published_at is None:
        raise Refused(_("{name} was never published. Publish the round that made it.").format(name=model.name))
    if not model.path or not model.folder.is_dir():
        raise Refused(_("{name} has no folder here that could be pushed.").format(name=model.name))
    if not registry.HUB_NAME.fullmatch(repository):
        raise Refused(_("{name} is no name on the hub; expected owner/name.").format(name=repository))
    with transaction.atomic():
        push = Push.objects.create(
            project=model.project, repository=repository, public=public, created_by=by, **_named(model)
        )
        record(
            Action.MODEL_PUSHED, actor=by, project=model.project, model=model.name, repository=repository, public=public
        )
        nudge("push_model", push.pk)
    return push


def carry_out(push_id: int) -> None:
    """Push it, if nobody is at it. After a worker that died it is done again, which changes nothing there."""
    with alone(LOCKS, push_id) as here:
        push = Push.objects.filter(pk=push_id, state=PushState.WAITING).select_related("policy", "reward_model").first()
        if not here or push is None:
            return
        told = _pushed(push)
        changes = {"state": PushState.FAILED, "error": told["error"]} if "error" in told else {"state": PushState.DONE}
        changes |= {name: told[name] for name in ("url", "commit") if name in told}
        Push.objects.filter(pk=push_id).update(finished_at=timezone.now(), **changes)


def sweep() -> None:
    for pk in Push.objects.filter(state=PushState.WAITING).values_list("pk", flat=True):
        nudge("push_model", pk)


def _named(model: Policy | RewardModel) -> dict[str, Any]:
    return {"policy": model} if isinstance(model, Policy) else {"reward_model": model}


def _pushed(push: Push) -> dict[str, str]:
    """What the process told. The token reaches it through its environment and is in no argument and no file."""
    try:
        registry.check_folder(push.model.folder)
    except registry.ModelError as error:
        return {"error": str(error)}
    with TemporaryDirectory(prefix="plumbline-push-") as folder:
        result = Path(folder) / "result.json"
        command = [
            *(sys.executable, "-m", "training.algorithms.hub", "--folder", str(push.model.folder)),
            *("--repository", push.repository, "--json", str(result)),
            *(["--public"] if push.public else []),
        ]
        try:
            process = subprocess.run(
                command,
                env=commands.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=HOURS * 3_600,
            )
            told: dict[str, str] = json.loads(result.read_text())
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            log.warning("Push %s: %s", push.pk, type(error).__name__)
            return {"error": _("The process that pushes ended without a word. Try again.")}
    log.info("Push %s ended with code %s", push.pk, process.returncode)
    return told
