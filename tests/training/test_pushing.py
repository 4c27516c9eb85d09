"""Models go to a hub on loopback, by the real client in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.utils import timezone

from annotation.models import AuditEntry
from annotation.refusals import Refused
from tests.training.hub_server import TOKEN, Hub, Repository, hub
from tests.training.world import Lab
from tests.world import make_token
from training import pushing, registry
from training.models import Policy, Push, PushState


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")  # its own protocol of chunks is not spoken here
        yield made


@pytest.fixture
def published(lab: Lab) -> Policy:
    Policy.objects.filter(pk=lab.base.pk).update(published_at=timezone.now())
    lab.base.refresh_from_db()
    return lab.base


def pushed(model: Policy, lab: Lab, *, repository: str = "lab/tiny", public: bool = False) -> Push:
    push = pushing.start(model, repository=repository, public=public, by=lab.rosa)
    pushing.carry_out(push.pk)
    push.refresh_from_db()
    return push


def test_a_published_policy_is_pushed_privately_with_its_files_and_nothing_else(
    lab: Lab, there: Hub, published: Policy
) -> None:
    stray = published.folder / "notes.bin"
    stray.write_bytes(b"\x80\x04")
    try:
        push = pushed(published, lab)
    finally:
        stray.unlink()
    assert (push.state, push.error) == (PushState.DONE, "")
    made = there.repositories["lab/tiny"]
    assert (made.private, push.url, push.commit) == (True, f"{there.url}/lab/tiny", made.head)
    expected = {path.name: path.read_bytes() for path in published.folder.iterdir() if path.is_file()}
    assert made.files == expected
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(made.files)


def test_pushed_again_it_changes_nothing_there(lab: Lab, there: Hub, published: Policy) -> None:
    first, second = pushed(published, lab), pushed(published, lab)
    assert (second.state, second.commit) == (PushState.DONE, first.commit)
    assert len(there.repositories["lab/tiny"].commits) == 1
    pushing.carry_out(second.pk)  # a message that came twice
    assert sum("preupload" in call for call in there.calls) == 2


def test_a_repository_that_everybody_reads_gets_nothing_that_is_to_be_private(
    lab: Lab, there: Hub, published: Policy
) -> None:
    there.repositories["lab/tiny"] = Repository(private=False)
    push = pushed(published, lab)
    assert (push.state, "everybody can read it" in push.error) == (PushState.FAILED, True)
    assert there.repositories["lab/tiny"].files == {}
    assert pushed(published, lab, public=True).state == PushState.DONE


@pytest.mark.parametrize(("repository", "token"), [("others/tiny", TOKEN), ("lab/tiny", "hf_wrong")])
def test_what_the_hub_refuses_says_so_without_the_token(
    lab: Lab, there: Hub, published: Policy, repository: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    push = pushed(published, lab, repository=repository)
    assert (push.state, "The hub refuses it (40" in push.error, token in push.error) == (PushState.FAILED, True, False)


def test_a_hub_out_of_reach_says_so(lab: Lab, published: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    push = pushed(published, lab)
    assert (push.state, "can't be reached" in push.error) == (PushState.FAILED, True)


def test_what_cannot_be_pushed_is_refused_before(lab: Lab, there: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="never published"):
        pushing.start(lab.base, repository="lab/tiny", public=False, by=lab.rosa)
    on_the_hub = registry.register_policy(lab.project, name="theirs", source="someone/else")
    on_the_hub.published_at = timezone.now()
    with pytest.raises(Refused, match="no folder"):
        pushing.start(on_the_hub, repository="lab/tiny", public=False, by=lab.rosa)
    lab.base.published_at = timezone.now()
    for name in ("tiny", "../../etc", "a/b/c", ""):
        with pytest.raises(Refused, match="owner/name"):
            pushing.start(lab.base, repository=name, public=False, by=lab.rosa)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(Refused, match="HF_TOKEN"):
        pushing.start(lab.base, repository="lab/tiny", public=False, by=lab.rosa)
    assert not Push.objects.exists()


def test_page_and_api_have_it_pushed_and_say_what_came_of_it(lab: Lab, there: Hub, published: Policy) -> None:
    rosa = Client()
    rosa.force_login(lab.rosa)
    assert "Push it to the hub" in rosa.get(f"/policies/{published.pk}/").content.decode()
    refused = rosa.post(f"/policies/{published.pk}/push/", {"repository": "tiny"})
    assert (refused.status_code, "owner/name" in refused.content.decode()) == (422, True)
    rosa.post(f"/policies/{published.pk}/push/", {"repository": "lab/tiny"})
    push = Push.objects.get()
    assert (push.public, push.state) == (False, PushState.WAITING)
    pushing.carry_out(push.pk)
    page = rosa.get(f"/policies/{published.pk}/").content.decode()
    assert f'<a href="{there.url}/lab/tiny"' in page
    assert TOKEN not in page
    script = Client(headers={"Authorization": f"Bearer {make_token(lab.rosa)}"})
    address = f"/api/v1/policies/{published.pk}/pushes/"
    made = script.post(address, {"repository": "lab/other"}, content_type="application/json")
    assert (made.status_code, made.json()["public"]) == (201, False)
    assert [each["state"] for each in script.get(address).json()] == ["waiting", "done"]
    assert AuditEntry.objects.filter(action="model_pushed").count() == 2


def test_without_a_token_the_page_offers_nothing(lab: Lab, published: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    rosa = Client()
    rosa.force_login(lab.rosa)
    assert "Push it to the hub" not in rosa.get(f"/policies/{published.pk}/").content.decode()
