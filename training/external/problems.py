"""What may be wrong with an external model or one answer of it, and what follows from that."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Problem(models.TextChoices):
    """Each may be followed by a detail, which is the endpoint's own words or a number."""

    NOT_PUBLIC = "not_public", _("Its address is not public, and the setting ENDPOINT_NETWORKS does not allow it:")
    PLAIN_HTTP = "plain_http", _("Plain http would show the key and the texts to others: give an https address.")
    NO_NAME = "no_name", _("Its name leads to no address:")
    NOT_REACHED = "not_reached", _("It can't be reached:")
    NOT_TRUSTED = "not_trusted", _("Its certificate is not to be trusted:")
    SENDS_ELSEWHERE = "sends_elsewhere", _("It sends elsewhere, which is not followed. Give the address that answers:")
    TOO_SLOW = "too_slow", _("It took too long, in seconds more than:")
    TOO_LARGE = "too_large", _("It sent too much, in bytes more than:")
    KEY_REFUSED = "key_refused", _("It refuses the key:")
    KEY_LOST = "key_lost", _("Its key was encrypted with a secret that is gone. Enter the key again.")
    NOT_THERE = "not_there", _("It knows no such address or model:")
    REFUSED = "refused", _("It refuses the request:")
    BUSY = "busy", _("It asks to wait:")
    FAILED = "failed", _("It failed:")
    NO_ANSWER = "no_answer", _("What it sent is no answer of the chat completions API:")
    EMPTY = "empty", _("The answer was empty.")
    TOO_LONG = "too_long", _("The answer is longer than the project keeps, in characters:")
    REMOVED = "removed", _("The external model was removed.")
    CANCELLED = "cancelled", _("The request was cancelled.")
    RUN_ENDED = "run_ended", _("The run in which the policy was to answer failed or was cancelled.")


# Nothing will come of it until somebody has changed something: no further call is made.
HOPELESS = frozenset({
    Problem.NOT_PUBLIC, Problem.PLAIN_HTTP, Problem.NOT_TRUSTED, Problem.SENDS_ELSEWHERE, Problem.KEY_REFUSED,
    Problem.KEY_LOST, Problem.NOT_THERE,
})  # fmt: skip
# The same question may be answered later.
PASSING = frozenset({
    Problem.NO_NAME, Problem.NOT_REACHED, Problem.TOO_SLOW, Problem.BUSY, Problem.FAILED, Problem.NO_ANSWER,
})  # fmt: skip


class EndpointError(Exception):
    """`wait`: for how many seconds the endpoint asked to be left alone."""

    def __init__(self, problem: Problem, detail: object = "", *, wait: float = 0.0) -> None:
        self.problem, self.detail, self.wait = problem, str(detail), wait
        super().__init__(f"{problem.label} {self.detail}".strip())
