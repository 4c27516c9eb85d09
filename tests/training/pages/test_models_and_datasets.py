from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.test import Client
from django.utils import timezone

from tests.training.pages.scene import Scene
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
