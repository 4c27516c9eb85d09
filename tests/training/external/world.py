"""External models of the shared world's project, and short ways to have them asked."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from annotation.adding import NewPrompt, add_prompts
from annotation.models import Prompt, Split
from tests.training.external.endpoint import KEY, Endpoint
from tests.world import World
from training.external import answering, asking, registering
from training.models import ExternalModel, OutputRequest, WantedOutput

SETTINGS = {"model": "tiny", "temperature": 0.7, "max_tokens": 64, "per_minute": 6_000}


def register(
    people: World, server: Endpoint, *, name: str = "elsewhere", key: str = KEY, **values: Any
) -> ExternalModel:
    given = {"base_url": server.url, **SETTINGS, **values}
    return registering.register(people.project, name=name, key=key, values=given, by=people.ada)


def answering_model(people: World, server: Endpoint, **values: Any) -> ExternalModel:
    """One that was called once and answered."""
    model = register(people, server, **values)
    ExternalModel.objects.filter(pk=model.pk).update(checked_at=timezone.now())
    model.refresh_from_db()
    return model


def make_prompts(people: World, count: int, *, split: Split = Split.TEST, **values: Any) -> list[Prompt]:
    """Some that people may rank outputs of: none of those held out feeds the policy."""
    asked = [[{"role": "user", "content": f"How much is {number} and one?"}] for number in range(count)]
    return add_prompts(people.project, [NewPrompt(messages, split=split, **values) for messages in asked])


def ask(people: World, *models: ExternalModel, **values: Any) -> OutputRequest:
    return asking.ask(people.project, by=people.rosa, generators=[model.generator for model in models], **values)


def work(model: ExternalModel) -> None:
    """What a worker does at once, however long it was told to wait."""
    ExternalModel.objects.filter(pk=model.pk).update(next_call_at=timezone.now())
    answering.work(model.pk, seconds=60)
    model.refresh_from_db()


def states(request: OutputRequest) -> list[str]:
    rows = WantedOutput.objects.filter(set__request=request).order_by("id")
    return [str(state) for state in rows.values_list("state", flat=True)]
