"""From the playground to the people: answers to be ranked, or a prompt that asks for a demonstration.

An answer travels through the browser signed, so that what enters the queue under a policy's name is what it said.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from django.core import signing
from django.db import transaction
from django.utils.translation import gettext as _

from annotation.adding import (
    NewCompletion,
    NewPrompt,
    RankingSet,
    add_completions,
    add_prompts,
    add_ranking_items,
)
from annotation.audit import record
from annotation.models import Completion, Item, ItemKind, Pool, Project, Prompt, PromptKind, Split, User
from annotation.refusals import Refused
from annotation.wording import cleaned_messages, digest_of
from training.auditing import Action
from training.models import Policy
from training.playground.answering import Answer

SALT = "training.playground"
LASTS_SECONDS = 24 * 3600
LEAST = 2  # outputs in a set


def signed(answer: Answer, *, project: Project, by: User, few_shot: bool) -> str:
    """The answer with all that the queue keeps of it, for this person in this project alone."""
    content = {
        "project": project.pk,
        "person": by.pk,
        "policy": answer.policy.pk,
        "messages": answer.asked.messages,
        "few_shot": few_shot,
        "text": answer.text,
        "seed": answer.asked.seed,
        "sampling": {
            "playground": secrets.token_hex(8),
            "temperature": answer.asked.temperature,
            "max_new_tokens": answer.asked.max_new_tokens,
            "tokens": answer.tokens,
            "logprob": round(answer.logprob, 5),
            "finished": answer.finished,
            **({} if answer.reward is None else {"reward": round(answer.reward, 5)}),
        },
    }
    return signing.dumps(content, salt=SALT, compress=True)


def opened(token: str, *, project: Project, by: User) -> dict[str, Any]:
    """What was signed. Raises Refused where it is not ours, another's, of another project, or a day old."""
    try:
        content: dict[str, Any] = signing.loads(token, salt=SALT, max_age=LASTS_SECONDS)
    except signing.BadSignature:
        raise Refused(_("This answer is more than a day old, or not one of ours. Ask again.")) from None
    if (content["project"], content["person"]) != (project.pk, by.pk):
        raise Refused(_("This answer was given to somebody else, or in another project. Ask again."))
    return content


@transaction.atomic
def have_ranked(project: Project, answers: Sequence[dict[str, Any]], *, use_case: str, language: str, by: User) -> Item:
    """Put the answers in the ranking queue, with other outputs to the same prompt up to the project's K."""
    project = _alone(project)
    prompt = _prompt(project, answers, use_case=use_case, language=language, by=by, with_items=False)
    made = [_completion(project, prompt, answer) for answer in answers]
    if not made:
        raise Refused(_("There is no answer to rank. Ask first."))
    fill = prompt.completions.exclude(pk__in=[each.pk for each in made]).exclude(text__in=[each.text for each in made])
    wanted = max(project.k - len(made), 0)
    chosen = [*made, *fill.order_by("-pk")[:wanted]]
    if len({each.text.strip() for each in chosen}) < LEAST:
        raise Refused(
            _("A set needs two different outputs. Ask two policies, or the same one twice at a temperature above 0.")
        )
    items = add_ranking_items(project, [RankingSet(prompt, [each.pk for each in chosen])])
    if not items:
        raise Refused(_("Fewer than two of these outputs may be shown: those that say who wrote them are held back."))
    record(Action.PLAYGROUND_RANKING, actor=by, project=project, prompt=prompt.pk, outputs=len(chosen))
    return items[0]


@transaction.atomic
def have_answered(
    project: Project, answers: Sequence[dict[str, Any]], *, use_case: str, language: str, by: User
) -> Prompt:
    """Ask people for a better answer: the prompt goes into the queue for demonstrations, the models' answers do not."""
    project = _alone(project)
    if not project.demonstrations_per_prompt:
        raise Refused(_("This project asks for no demonstrations. An admin can change that under Settings."))
    prompt = _prompt(project, answers, use_case=use_case, language=language, by=by, with_items=True)
    record(Action.PLAYGROUND_DEMONSTRATION, actor=by, project=project, prompt=prompt.pk)
    return prompt


def trains(prompt: Prompt) -> str:
    """Whom a ranking of its outputs teaches, as its split and pool have it, for whoever sent it."""
    if prompt.split != Split.TRAIN:
        return _("The prompt is held out by its author's split, so it measures models and trains none.")
    if prompt.pool == Pool.POLICY:
        return _("The text of the prompt feeds PPO, so its ranking trains no reward model; the leaderboard counts it.")
    return _("Its ranking will train the next reward model.")


def _alone(project: Project) -> Project:
    """Whoever sends the same twice at once is heard one after the other."""
    return Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _prompt(
    project: Project, answers: Sequence[dict[str, Any]], *, use_case: str, language: str, by: User, with_items: bool
) -> Prompt:
    """The project's prompt of these words, or a new one by this person, whose split is theirs as of all they write."""
    if not answers or any(answer["messages"] != answers[0]["messages"] for answer in answers):
        raise Refused(_("These answers are to different prompts. Send those to one prompt together."))
    messages = cleaned_messages(answers[0]["messages"], longest=project.max_prompt_characters)
    known = Prompt.objects.usable().filter(project=project, digest=digest_of(messages)).order_by("pk").first()
    if known is not None and not with_items:
        return known
    if known is not None and Item.objects.filter(prompt=known, kind=ItemKind.DEMONSTRATION).exists():
        raise Refused(_("People have been asked for an answer to this prompt already."))
    kind = PromptKind.FEW_SHOT if answers[0]["few_shot"] else PromptKind.PLAIN
    new = NewPrompt(messages, kind, use_case, language, author=by)
    return add_prompts(project, [new], with_items=with_items)[0]


def _completion(project: Project, prompt: Prompt, answer: dict[str, Any]) -> Completion:
    if Completion.objects.filter(prompt=prompt, sampling__playground=answer["sampling"]["playground"]).exists():
        raise Refused(_("This answer is in the queue already."))
    if not answer["text"].strip():
        raise Refused(_("An answer without text can't be ranked."))
    policy = Policy.objects.select_related("generator").get(pk=answer["policy"], project=project)
    new = NewCompletion(prompt.pk, answer["text"].strip(), answer["sampling"], answer["seed"])
    [made] = add_completions(policy.generator, [new])
    return made
