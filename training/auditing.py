"""What researchers do, as the project's log tells it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from annotation import audit


class Action(models.TextChoices):
    ROUND_STARTED = "round_started", _("started a round")
    ROUND_CANCELLED = "round_cancelled", _("cancelled a round")
    ROUND_RETRIED = "round_retried", _("tried a round again")
    POLICY_ADDED = "policy_added", _("added a policy")
    POLICY_PUBLISHED = "policy_published", _("published a policy")
    POLICY_PUT_BACK = "policy_put_back", _("went back to a policy")
    EVALUATED = "evaluated", _("evaluated a model")


SENTENCES = {
    Action.ROUND_STARTED: _("round %(round)s from policy %(base)s"),
    Action.ROUND_CANCELLED: _("round %(round)s"),
    Action.ROUND_RETRIED: _("round %(round)s"),
    Action.POLICY_ADDED: _("policy %(policy)s"),
    Action.POLICY_PUBLISHED: _("policy %(policy)s of round %(round)s"),
    Action.POLICY_PUT_BACK: _("policy %(policy)s, in the place of policy %(before)s"),
    Action.EVALUATED: _("model %(model)s on dataset %(dataset)s"),
}


def tell() -> None:
    """Called once, as the application starts."""
    audit.OTHERS.update({str(action): (action.label, SENTENCES[action]) for action in Action})
