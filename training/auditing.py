"""What researchers do, as the project's log tells it."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from django.db import models
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from annotation import audit
from annotation.models import User
from training.models import Dataset
from training.parquet import HELD_OUT


class Action(models.TextChoices):
    ROUND_STARTED = "round_started", _("started a round")
    ROUND_CANCELLED = "round_cancelled", _("cancelled a round")
    ROUND_RETRIED = "round_retried", _("tried a round again")
    AUTOMATIC_ROUNDS = "automatic_rounds", _("changed when rounds start automatically")
    GATE_ENDED = "gate_ended", _("ended a round's gate")
    GATE_DECIDED = "gate_decided", _("decided about a round's policy")
    POLICY_ADDED = "policy_added", _("added a policy")
    POLICY_PUBLISHED = "policy_published", _("published a policy")
    POLICY_PUT_BACK = "policy_put_back", _("went back to a policy")
    EVALUATED = "evaluated", _("evaluated a model")
    PLAYGROUND_RANKING = "playground_ranking", _("sent answers from the playground to be ranked")
    PLAYGROUND_DEMONSTRATION = "playground_demonstration", _("sent a prompt from the playground to be answered")
    DATASET_DOWNLOADED = "dataset_downloaded", _("downloaded a file of a dataset")
    MODEL_PUSHED = "model_pushed", _("pushed a model to the hub")
    EXTERNAL_ADDED = "external_added", _("added an external model")
    EXTERNAL_CHANGED = "external_changed", _("changed an external model")
    EXTERNAL_REMOVED = "external_removed", _("removed an external model")
    OUTPUTS_ASKED = "outputs_asked", _("asked for outputs")
    OUTPUTS_CANCELLED = "outputs_cancelled", _("cancelled a request for outputs")


SENTENCES = {
    Action.ROUND_STARTED: _("round %(round)s from policy %(base)s"),
    Action.ROUND_CANCELLED: _("round %(round)s"),
    Action.ROUND_RETRIED: _("round %(round)s"),
    Action.AUTOMATIC_ROUNDS: _("on: %(on)s"),
    Action.GATE_ENDED: _("round %(round)s: %(outcome)s"),
    Action.GATE_DECIDED: _("round %(round)s, published: %(publish)s; %(reason)s"),
    Action.POLICY_ADDED: _("policy %(policy)s"),
    Action.POLICY_PUBLISHED: _("policy %(policy)s of round %(round)s"),
    Action.POLICY_PUT_BACK: _("policy %(policy)s, in the place of policy %(before)s"),
    Action.EVALUATED: _("model %(model)s on dataset %(dataset)s"),
    Action.PLAYGROUND_RANKING: _("prompt %(prompt)s, %(outputs)s outputs"),
    Action.PLAYGROUND_DEMONSTRATION: _("prompt %(prompt)s"),
    Action.DATASET_DOWNLOADED: _("dataset %(dataset)s: %(kind)s (%(format)s)"),
    Action.MODEL_PUSHED: _("%(model)s as %(repository)s, for everybody: %(public)s"),
    Action.EXTERNAL_ADDED: _("%(model)s at %(host)s"),
    Action.EXTERNAL_CHANGED: _("%(model)s at %(host)s"),
    Action.EXTERNAL_REMOVED: _("%(model)s, and forgot its key"),
    Action.OUTPUTS_ASKED: _("request %(request)s: %(k)s outputs to each of %(prompts)s prompts by %(generators)s"),
    Action.OUTPUTS_CANCELLED: _("request %(request)s"),
}
KINDS: dict[str, Any] = {
    "instructions": _("Instructions"),
    "demonstrations": _("Demonstrations"),
    "messages": _("Conversations"),
    "rankings": _("Rankings"),
    "comparisons": _("Comparisons"),
    "completions": _("Outputs"),
    "prompts": _("Prompts"),
}
HELD_OUT_KINDS = {kind + HELD_OUT: format_lazy(_("{kind}, held out"), kind=label) for kind, label in KINDS.items()}


def downloaded(dataset: Dataset, file: str, *, by: User) -> None:
    """That somebody took a file of a dataset away, by what it holds and in which format."""
    name = PurePath(file)
    details = {"dataset": dataset.pk, "kind": name.stem, "format": name.suffix.removeprefix(".")}
    audit.record(Action.DATASET_DOWNLOADED, actor=by, project=dataset.project, **details)


def tell() -> None:
    """Called once, as the application starts."""
    audit.KINDS.update({**KINDS, **HELD_OUT_KINDS, "README": _("Data card")})
    audit.OTHERS.update({str(action): (action.label, SENTENCES[action]) for action in Action})
