from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.test import Client
from django.utils import timezone

from annotation.models import AuditEntry, Demonstration, Split
from tests.training.pages.scene import Scene
from training.datasets import freeze
from training.models import Dataset, Policy, RewardModel


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return str(response.content.decode())


class TestModels:
    def test_an_empty_page_says_what_to_do_and_that_the_starter_is_a_toy(self, scene: Scene, rosa: Client) -> None:
        Policy.objects.all().delete()
        page = text(rosa, scene.address("models"))
        assert "No policy yet" in page
        assert "No reward model yet" in page
        assert "The starter model is a toy" in page

    def test_a_hub_name_is_added(self, scene: Scene, rosa: Client) -> None:
        given = {"name": "smol", "source": "HuggingFaceTB/SmolLM2-135M-Instruct"}
        response = rosa.post(scene.address("models"), given, follow=True)
        policy = Policy.objects.get(name="smol")
        assert (policy.location, policy.project) == (given["source"], scene.project)
        assert "smol has been added." in response.content.decode()

    def test_pickled_weights_are_refused_with_the_way_out(self, scene: Scene, rosa: Client, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "llama"}')
        (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
        response = rosa.post(scene.address("models"), {"name": "old", "source": str(tmp_path)})
        assert "pytorch_model.bin" in response.content.decode()
        assert "safe_serialization=True" in response.content.decode()
        assert not Policy.objects.filter(name="old").exists()

    def test_a_name_that_is_taken_is_refused(self, scene: Scene, rosa: Client) -> None:
        response = rosa.post(scene.address("models"), {"name": "starter", "source": "a/b"})
        assert "already" in response.content.decode()
        assert Policy.objects.filter(project=scene.project).count() == 1

    def test_a_policy_tells_where_it_came_from_and_what_came_of_it(self, scene: Scene, rosa: Client) -> None:
        round = scene.published_round()
        assert round.policy is not None
        page = text(rosa, f"/policies/{round.policy.pk}/")
        assert f'href="/policies/{scene.base.pk}/"' in page
        assert f'href="/reward-models/{RewardModel.objects.get().pk}/"' in page
        assert f'href="/datasets/{Dataset.objects.get().pk}/"' in page
        assert "4 to 1 prompts" in page
        assert "Reward accuracy" not in page  # that is the reward model's figure
        base = text(rosa, f"/policies/{scene.base.pk}/")
        assert f'href="/policies/{round.policy.pk}/"' in base
        assert f'href="{scene.address("rounds/1")}"' in base

    def test_one_click_goes_back_to_a_policy_and_it_is_the_current_one_again(self, scene: Scene, rosa: Client) -> None:
        newer = scene.published_round().policy
        assert newer is not None
        Policy.objects.filter(pk=newer.pk).update(published_at=timezone.now())
        Policy.objects.filter(pk=scene.base.pk).update(published_at=timezone.now() - timedelta(days=1))
        assert "Go back to this policy" not in text(rosa, f"/policies/{newer.pk}/")
        assert "Go back to this policy" in text(rosa, f"/policies/{scene.base.pk}/")
        response = rosa.post(f"/policies/{scene.base.pk}/put-back/", follow=True)
        assert "is the current policy again." in response.content.decode()
        assert Policy.objects.current(scene.project) == scene.base
        again = rosa.post(f"/policies/{scene.base.pk}/put-back/", follow=True)
        assert "is the current policy already" in again.content.decode()

    def test_a_reward_model_tells_its_accuracy_and_whom_it_judged(self, scene: Scene, rosa: Client) -> None:
        ppo = scene.published_round().runs.get(stage="ppo")
        page = text(rosa, f"/reward-models/{RewardModel.objects.get().pk}/")
        assert "<dd>0.768</dd>" in page
        assert f'href="/runs/{ppo.pk}/"' in page
        assert "Mean length" not in page

    def test_the_model_card_is_shown_without_its_head_and_can_not_run(
        self, scene: Scene, rosa: Client, tmp_path: Path
    ) -> None:
        (tmp_path / "README.md").write_text("---\ntags: [x]\n---\n# A card\n<script>alert(1)</script>")
        Policy.objects.filter(pk=scene.base.pk).update(path=str(tmp_path))
        page = text(rosa, f"/policies/{scene.base.pk}/")
        assert "A card</h" in page
        assert "tags:" not in page
        assert "<script>alert" not in page

    def test_a_folder_that_is_gone_is_missed(self, scene: Scene, rosa: Client) -> None:
        Policy.objects.filter(pk=scene.base.pk).update(path="models/gone")
        assert "is gone" in text(rosa, f"/policies/{scene.base.pk}/")


class TestDatasets:
    def test_an_empty_list_says_where_datasets_come_from(self, scene: Scene, rosa: Client) -> None:
        assert "Starting a round freezes what has been collected into one." in text(rosa, scene.address("datasets"))

    def test_a_dataset_names_what_it_goes_up_to_in_the_readers_words(self, scene: Scene, rosa: Client) -> None:
        dataset = scene.published_round().dataset
        assert dataset is not None
        Dataset.objects.filter(pk=dataset.pk).update(filters={"up_to": {"demonstrations": 7}})
        assert "<dt>Answers</dt><dd>all up to number 7</dd>" in text(rosa, f"/datasets/{dataset.pk}/")

    def test_a_dataset_shows_hashes_rows_what_was_left_out_and_who_used_it(self, scene: Scene, rosa: Client) -> None:
        round = scene.published_round()
        assert round.dataset is not None
        page = text(rosa, f"/datasets/{round.dataset.pk}/")
        assert "ab" * 32 in page
        assert '<td class="number">1,204</td>' in page
        assert "all outputs tied" in page
        assert f'href="{scene.address("rounds/1")}"' in page
        assert f'href="/runs/{round.runs.get(stage="ppo").pk}/"' in page
        assert f'href="/datasets/{round.dataset.pk}/"' in text(rosa, scene.address("datasets"))

    def test_what_there_is_is_frozen_as_chosen(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        given = {"prompts_per_author": "200", "languages": ["en"], "use_cases": ["other"]}
        response = rosa.post(scene.address("datasets"), given, follow=True)
        dataset = Dataset.objects.get()
        assert f"Dataset {dataset.pk} is frozen." in response.content.decode()
        assert {name: dataset.filters[name] for name in given} == given | {"prompts_per_author": 200}
        assert dataset.created_by == scene.people.rosa
        page = response.content.decode()
        assert "Prompts an author</dt><dd>200</dd>" in page
        assert "Use cases</dt><dd>other</dd>" in page
        assert "Languages</dt><dd>English</dd>" in page

    def test_too_little_to_freeze_is_said(self, scene: Scene, rosa: Client) -> None:
        response = rosa.post(scene.address("datasets"), {})
        assert response.status_code == 422
        assert "There is too little to train on" in response.content.decode()
        assert not Dataset.objects.exists()

    def test_its_files_are_downloaded_and_that_is_noted(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        dataset = freeze(scene.project, user=None)
        page = text(rosa, f"/datasets/{dataset.pk}/")
        for name in ("rankings.jsonl", "comparisons_held_out.parquet", "README.md"):
            address = f"/datasets/{dataset.pk}/files/{name}"
            assert f'href="{address}"' in page
            sent = b"".join(rosa.get(address).streaming_content)  # type: ignore[attr-defined]
            assert sent == (dataset.folder / name).read_bytes()
        assert AuditEntry.objects.filter(action="dataset_downloaded").count() == 3
        rosa.force_login(scene.people.ada)
        log = text(rosa, f"/projects/{scene.project.slug}/audit/")
        for said in ("Rankings (jsonl)", "Comparisons, held out (parquet)", "Data card (md)"):
            assert f"dataset {dataset.pk}: {said}" in log

    def test_nothing_but_its_files_is_downloaded(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        dataset = freeze(scene.project, user=None)
        (dataset.folder / "other.txt").write_text("x")
        for name in ("other.txt", "..%2F..%2Fsecret_key", "none.jsonl"):
            assert rosa.get(f"/datasets/{dataset.pk}/files/{name}").status_code == 404
        rosa.force_login(scene.people.alice)
        assert rosa.get(f"/datasets/{dataset.pk}/files/rankings.jsonl").status_code == 403

    def test_one_is_compared_with_another_by_a_select(self, scene: Scene, rosa: Client) -> None:
        scene.make_ready()
        first = freeze(scene.project, user=None)
        prompt = Demonstration.objects.get().prompt
        for number in range(7):
            Demonstration.objects.create(prompt=prompt, text=f"Another {number}.")
        second = freeze(scene.project, user=None)
        page = text(rosa, f"/datasets/{second.pk}/")
        assert f'action="/datasets/{second.pk}/compare/"' in page
        assert f'<option value="{first.pk}"' in page
        for address in (f"{second.pk}/compare/?with={first.pk}", f"{first.pk}/compare/", f"{second.pk}/compare/"):
            page = text(rosa, f"/datasets/{address}")
            assert f"From dataset {first.pk} to dataset {second.pk}" in page
            assert "".join(f'<td class="number">{count}</td>' for count in (1, 8, 7, 0, 0)) in page
        assert prompt.split == Split.TRAIN

    def test_only_datasets_of_the_project_are_compared(self, scene: Scene, rosa: Client) -> None:
        own = scene.dataset()
        foreign = Dataset.objects.create(project=scene.people.next_door, sha256="ef" * 32)
        for other in (foreign.pk, own.pk, "x"):
            assert rosa.get(f"/datasets/{own.pk}/compare/?with={other}").status_code == 404
        assert rosa.get(f"/api/v1/datasets/{own.pk}/compare/{foreign.pk}/").status_code == 404
        assert "Nothing to compare with" in text(rosa, f"/datasets/{own.pk}/compare/")

    def test_a_dataset_whose_files_are_gone_says_so_when_compared(self, scene: Scene, rosa: Client) -> None:
        one, _other = scene.dataset(), scene.dataset()
        Dataset.objects.filter(pk=one.pk).update(files={"rankings.jsonl": {"sha256": "0", "rows": 1, "bytes": 1}})
        assert "rankings.jsonl is missing" in text(rosa, f"/datasets/{one.pk}/compare/")
