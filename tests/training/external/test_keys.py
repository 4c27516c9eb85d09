"""Keys of external models: encrypted at rest, never shown, and given to no other place than they were given for."""

from __future__ import annotations

import logging
import stat
from typing import Any

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client

from annotation.models import AuditEntry
from annotation.refusals import Refused
from config.backup.making import NOT_COPIED
from tests.training.external.endpoint import KEY, Endpoint, completion, says
from tests.training.external.world import SETTINGS, answering_model, ask, make_prompts, register, work
from tests.world import World, make_person, make_token, make_world
from training.external import registering, secrets
from training.external.problems import Problem
from training.models import ExternalModel


@pytest.fixture
def people(db: Any) -> World:
    return make_world(k=2)


def stored(model: ExternalModel) -> str:
    return ExternalModel.objects.values_list("sealed_key", flat=True).get(pk=model.pk)


def test_a_key_is_kept_encrypted_and_sent_as_it_is(people: World, server: Endpoint) -> None:
    model = register(people, server)
    assert KEY not in stored(model)
    assert stored(model) != stored(register(people, server, name="another"))
    work(model)
    assert server.asked[0].headers["Authorization"] == f"Bearer {KEY}"


def test_the_secret_is_in_a_file_of_its_owner_alone_and_in_no_backup(people: World, server: Endpoint) -> None:
    register(people, server)
    file = secrets.secrets_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.name in NOT_COPIED


def test_without_its_secret_a_key_has_to_be_entered_again(people: World, server: Endpoint, settings: Any) -> None:
    model = register(people, server)
    settings.ENDPOINT_SECRETS = [Fernet.generate_key().decode()]
    work(model)
    assert (server.asked, model.problem, model.stopped) == ([], Problem.KEY_LOST, True)
    registering.change(model, key=KEY, values={**SETTINGS, "base_url": server.url}, by=people.ada)
    work(model)
    assert (len(server.asked), model.problem) == (1, "")


def test_a_secret_is_replaced_while_the_old_one_still_opens(people: World, server: Endpoint, settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.ENDPOINT_SECRETS = [old]
    model = register(people, server)
    settings.ENDPOINT_SECRETS = [new, old]
    assert secrets.opened(stored(model)) == KEY
    call_command("rotate_endpoint_secret", verbosity=0)
    settings.ENDPOINT_SECRETS = [new]
    assert secrets.opened(stored(model)) == KEY
    settings.ENDPOINT_SECRETS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="elsewhere"):
        call_command("rotate_endpoint_secret", verbosity=0)


def test_the_secret_of_the_file_is_replaced_by_a_command(people: World, server: Endpoint) -> None:
    model, without = register(people, server), register(people, server, name="open", key="")
    before, sealed = secrets.secrets_file().read_text(), stored(model)
    call_command("rotate_endpoint_secret", verbosity=0)
    after = secrets.secrets_file().read_text()
    assert before not in after
    assert stat.S_IMODE(secrets.secrets_file().stat().st_mode) == 0o600
    assert stored(model) != sealed
    assert (secrets.opened(stored(model)), stored(without)) == (KEY, "")
    with pytest.raises(InvalidToken):
        Fernet(before).decrypt(stored(model))


def test_a_secret_that_is_none_is_refused_loudly(settings: Any) -> None:
    settings.ENDPOINT_SECRETS = ["hunter2"]
    with pytest.raises(ImproperlyConfigured, match="32 bytes"):
        secrets.sealed(KEY)


@pytest.mark.parametrize("key", ["two words", "new\nline", "ключ", "x" * 501, "tab\tbed"])
def test_what_could_not_stand_in_a_header_is_no_key_and_is_not_repeated(
    people: World, server: Endpoint, key: str
) -> None:
    with pytest.raises(Refused) as refusal:
        register(people, server, key=key)
    assert key not in str(refusal.value)
    assert not ExternalModel.objects.exists()


class TestAnotherPlace:
    @pytest.mark.parametrize("url", ["https://evil.example/v1", "http://127.0.0.1:1/v1", "https://127.0.0.1:{port}/v1"])
    def test_does_not_get_the_key_that_is_there(self, people: World, server: Endpoint, url: str) -> None:
        """Who may change the address but does not know the key could have it sent to themselves."""
        model = answering_model(people, server)
        there = url.replace("{port}", str(server.port))
        with pytest.raises(Refused, match="Enter the key again"):
            registering.change(model, key="", values={**SETTINGS, "base_url": there}, by=people.ada)
        registering.change(model, key="sk-theirs", values={**SETTINGS, "base_url": there}, by=people.ada)
        assert secrets.opened(stored(model)) == "sk-theirs"

    def test_another_path_or_model_of_the_same_place_does(self, people: World, server: Endpoint) -> None:
        model = answering_model(people, server)
        values = {**SETTINGS, "base_url": server.url + "/beta", "model": "large"}
        registering.change(model, key="", values=values, by=people.ada)
        assert (secrets.opened(stored(model)), model.model) == (KEY, "large")


def test_the_key_is_in_no_page_no_answer_of_the_api_no_log_and_no_export(
    people: World, server: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither as it is nor encrypted, though the endpoint itself repeats it in whatever it says."""
    caplog.set_level(logging.DEBUG)
    make_prompts(people, 2)
    model = answering_model(people, server)
    request = ask(people, model)
    server.behave(says({"error": {"message": f"Incorrect key: {KEY}, or sk-s****6789"}}, status=400))
    work(model)
    server.behave(says(completion(f"It is {KEY}")))
    root = make_person("root")
    type(root).objects.filter(pk=root.pk).update(is_superuser=True, is_staff=True)
    browser = Client()
    browser.force_login(type(root).objects.get(pk=root.pk))
    script = Client(headers={"Authorization": f"Bearer {make_token(people.ada)}"})
    seen = [
        browser.get(address, follow=True).content.decode()
        for address in (
            f"/external-models/{model.pk}/", "/projects/capitals/external-models/", "/projects/capitals/outputs/",
            f"/outputs/{request.pk}/", "/projects/capitals/audit/", f"/admin/training/externalmodel/{model.pk}/change/",
        )
    ]  # fmt: skip
    seen += [
        script.get(address).content.decode()
        for address in (
            "/api/v1/projects/capitals/external-models/", f"/api/v1/external-models/{model.pk}/",
            "/api/v1/projects/capitals/outputs/", f"/api/v1/outputs/{request.pk}/",
        )
    ]  # fmt: skip
    refused = browser.post(f"/external-models/{model.pk}/", {"key": "sk-typed-anew", "base_url": "nonsense"})
    assert refused.status_code == 422
    seen += [refused.content.decode(), caplog.text, str(list(AuditEntry.objects.values()))]
    seen += [str(list(type(request).objects.values())), str(list(request.sets.values("outputs__detail")))]
    for secret in (KEY, "sk-s", stored(model), "sk-typed-anew"):
        assert not any(secret in each for each in seen), secret


def test_who_may_not_administer_learns_of_no_external_model(people: World, server: Endpoint) -> None:
    model = register(people, server)
    for person, status in ((people.rosa, 403), (people.alice, 403), (people.charlie, 404)):
        browser = Client()
        browser.force_login(person)
        for address in (f"/external-models/{model.pk}/", "/projects/capitals/external-models/"):
            assert browser.get(address).status_code == status
