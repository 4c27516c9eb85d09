"""A model's folder as one file: what comes out of the tar is what from_pretrained opens."""

from __future__ import annotations

import io
import tarfile

import pytest
from django.test import Client

from tests.training.world import Lab
from training import archives, registry
from training.models import Policy


def fetched(client: Client, address: str) -> tuple[bytes, str]:
    response = client.get(address)
    assert response.status_code == 200
    content = b"".join(response.streaming_content)  # type: ignore[arg-type]
    assert response["Content-Length"] == str(len(content))
    return content, response["Content-Disposition"]


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_the_tar_holds_the_models_files_byte_by_byte(lab: Lab, client: Client, prefix: str) -> None:
    secret = lab.base.folder / "notes.secret"
    secret.write_text("not of the model")
    client.force_login(lab.rosa)
    content, disposition = fetched(client, f"{prefix}/policies/{lab.base.pk}/archive/")
    assert 'filename="base.tar"' in disposition
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    wanted = {f"base/{path.name}": path.read_bytes() for path in lab.base.folder.iterdir() if path.is_file()}
    assert found == {name: data for name, data in wanted.items() if not name.endswith(".secret")}
    assert "base/model.safetensors" in found
    secret.unlink()  # other tests share the folder


def test_who_does_no_research_here_gets_nothing(lab: Lab, client: Client) -> None:
    for person, status in ((lab.people.alice, 403), (lab.people.charlie, 404)):
        client.force_login(person)
        assert client.get(f"/policies/{lab.base.pk}/archive/").status_code == status


def test_a_model_on_the_hub_is_not_ours_to_send(lab: Lab, client: Client) -> None:
    far = registry.import_policy(lab.project, source="HuggingFaceTB/SmolLM2-135M", name="smol")
    client.force_login(lab.rosa)
    page = client.get(f"/policies/{far.pk}/archive/", follow=True).content.decode()
    assert "lies on the hub" in page
    assert client.get(f"/api/v1/policies/{far.pk}/archive/").status_code == 409


def test_a_file_that_got_shorter_breaks_the_answer_and_is_not_filled_up(lab: Lab) -> None:
    entries = archives.entries_of(Policy.objects.get(pk=lab.base.pk))
    longer = [each._replace(bytes=each.bytes + 1) for each in entries]
    with pytest.raises(OSError, match="1 bytes less"):
        b"".join(archives.stream(longer))
