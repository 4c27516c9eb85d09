"""A report that is handed on: whole in itself, the same figures in HTML and Markdown, from the page and by command."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import translation

from annotation.rendering import render
from tests.training.pages.scene import Scene, write_metrics
from tests.training.pages.test_evaluations import evaluation, judged
from training import registry
from training.evaluation import report, whiskers
from training.models import Policy, Stage

TAGS = re.compile(r"<[^>]+>")


@pytest.fixture
def two(scene: Scene) -> list[str]:
    """A policy of a round, with curves, and one that was brought, both evaluated; and the round's reward model."""
    round = scene.published_round()
    assert round.policy is not None
    assert round.reward_model is not None
    write_metrics(
        round.runs.get(stage=Stage.PPO), [{"step": step, "objective/reward": step / 2} for step in range(1, 9)]
    )
    Policy.objects.filter(pk=round.policy.pk).update(used_withdrawn_rows=3)
    evaluation(scene, round.policy, dataset=round.dataset)
    evaluation(scene, scene.base, bleu=21.0, dataset=round.dataset)
    return [f"policy-{round.policy.pk}", f"policy-{scene.base.pk}", f"reward-model-{round.reward_model.pk}"]


def text(html: str) -> str:
    return " ".join(TAGS.sub(" ", html).split())


def test_it_tells_figures_with_intervals_where_each_model_came_from_and_its_settings(
    scene: Scene, two: list[str]
) -> None:
    said = text(report.as_html(report.compose(scene.project, two)))
    assert "Report on round-1-ppo, starter, round-1-reward-model" in said
    assert re.search(r"BLEU 23\.5 \[20, 25\] 21 \[20, 25\] – ", said)
    assert re.search(r"Reward accuracy – – 0\.768", said)
    assert re.search(
        rf"round-1-ppo PPO \d+, round 1 starter, judged by round-1-reward-model \d+ sha256 {'cd' * 32}", said
    )
    assert "0 answers, 1,204 rankings, 0 prompts 3 rows were taken back since" in said
    assert "starter brought here: someone/starter" in said
    assert "Evaluated on 64 outputs to 32 prompts of dataset" in said
    assert "By language" in said
    assert "kl_coef=0.3" in said
    assert said.count("round-1-reward-model Reward model") == 1  # each ancestor stands there once


def test_the_html_needs_nothing_beside_it_and_its_plots_can_be_read_by_ear(scene: Scene, two: list[str]) -> None:
    html = report.as_html(report.compose(scene.project, two))
    assert not re.search(r"(src|href)=|url\(|<script|<link", html)
    assert 'aria-label="BLEU. round-1-ppo: 23.46 [20, 25]. starter: 21 [20, 25]. "' in html
    assert "from 0.5 at step 1 to 4 at step 8" in html


def test_markdown_says_the_same_and_its_plots_lie_beside_it_as_svg(scene: Scene, two: list[str]) -> None:
    made = report.compose(scene.project, two)
    files = report.as_markdown(made)
    pictures = re.findall(r"!\[[^]]*\]\((plots/[^)]+\.svg)\)", files["report.md"])
    assert sorted(pictures) == sorted(name for name in files if name != "report.md")
    assert set(pictures) == {"plots/evaluation-bleu.svg", "plots/model-1-objective-reward.svg"}
    for name in pictures:
        assert ET.fromstring(files[name]).tag == "{http://www.w3.org/2000/svg}svg"
    tables = re.findall(r"(?:^\|.*\n)+", files["report.md"], re.MULTILINE)
    assert len(tables) == 4
    for table in tables:
        assert len({line.count("|") - line.count(r"\|") for line in table.splitlines()}) == 1
    assert "| BLEU | 23.5 [20, 25] | 21 [20, 25] | – |" in files["report.md"]
    assert "<table>" in render(files["report.md"])


def test_what_people_and_a_reward_model_owe_to_form_stands_in_it_too(scene: Scene) -> None:
    model = scene.published_round().reward_model
    assert model is not None
    odds = {"value": 1.25, "low": 1.1, "high": 1.4, "prompts": 30}
    judged(scene, model, people={"length": odds, "position": odds}, model={"length": odds | {"value": 2.5}})
    made = report.compose(scene.project, [f"reward-model-{model.pk}"])
    said = text(report.as_html(made))
    assert "Length, form and place Odds of being preferred Output People round-1-reward-model" in said
    assert re.search(r"Twice as long The odds for .*? 1\.25 \[1\.1, 1\.4\] 2\.5 \[1\.1, 1\.4\]", said)
    assert re.search(r"One place earlier [^–]*? 1\.25 \[1\.1, 1\.4\] – ", said)
    assert "it likes the form for its own sake" in said
    markdown = report.as_markdown(made)["report.md"]
    assert "| Twice as long | 1.25 [1.1, 1.4] | 2.5 [1.1, 1.4] | The odds for an output of" in markdown
    assert "| One place earlier | 1.25 [1.1, 1.4] | – | " in markdown
    assert "Headings" not in markdown


def test_of_a_policy_it_tells_no_odds(scene: Scene, two: list[str]) -> None:
    assert "Odds of being preferred" not in report.as_html(report.compose(scene.project, two))


def test_a_name_means_nothing_to_html_or_markdown(scene: Scene) -> None:
    odd = registry.register_policy(scene.project, name="a|b <script>x</script>\n# *c*", source="x/y", figures={"kl": 1})
    made = report.compose(scene.project, [f"policy-{odd.pk}"])
    assert "<script>" not in report.as_html(made)
    said = report.as_markdown(made)["report.md"]
    assert r"| Figure | a\|b \<script\>x\</script\> \# \*c\* |" in said
    assert "<script>" not in render(said)


def test_from_the_page_it_comes_as_a_file(scene: Scene, rosa: Client, two: list[str]) -> None:
    query = "?" + "&".join(f"model={key}" for key in two)
    response = rosa.get(scene.address("models/report").rstrip("/") + ".html" + query)
    assert response["Content-Disposition"].startswith('attachment; filename="report-on-round-1-ppo')
    assert "BLEU" in response.content.decode()
    packed = rosa.get(scene.address("models/report").rstrip("/") + ".zip" + query)
    assert "plots/evaluation-bleu.svg" in zipfile.ZipFile(io.BytesIO(packed.content)).namelist()
    assert rosa.get(scene.address("models/report").rstrip("/") + ".html?model=policy-0").status_code == 404
    assert f'report.html?model={two[0]}"' in rosa.get(f"/policies/{two[0].removeprefix('policy-')}/").content.decode()


@pytest.mark.parametrize(("person", "status"), [("alice", 403), ("charlie", 404)])
def test_it_is_for_researchers(scene: Scene, person: str, status: int) -> None:
    client = Client()
    client.force_login(scene.people.everyone()[person])
    for ending in ("html", "zip"):
        assert client.get(scene.address("models/report").rstrip("/") + f".{ending}").status_code == status


def test_the_command_writes_it_in_the_language_asked_for(scene: Scene, two: list[str], tmp_path: Path) -> None:
    call_command("report", scene.project.slug, *two[:1], out=tmp_path, language="zh-hans", stdout=io.StringIO())
    with translation.override("zh-hans"):
        assert report.compose(scene.project, two[:1]).title in (tmp_path / "report.html").read_text()
    assert (tmp_path / "plots" / "model-1-objective-reward.svg").is_file()
    with pytest.raises(CommandError, match="no model policy-0. It has: policy-"):
        call_command("report", scene.project.slug, "policy-0", out=tmp_path)
    with pytest.raises(CommandError, match="There is no project nowhere"):
        call_command("report", "nowhere", out=tmp_path)


def test_equal_reports_are_equal_files(scene: Scene, two: list[str]) -> None:
    files = report.as_markdown(report.compose(scene.project, two))
    assert report.packed(files) == report.packed(files)


def test_intervals_are_drawn_where_their_numbers_lie_on_the_axis() -> None:
    drawn = whiskers.draw([("a", 5.0, 0.0, 10.0), ("b" * 40, 10.0, 10.0, 10.0)])
    first, second = drawn.rows
    assert (first.low, first.high) == (drawn.left, drawn.right)
    assert first.value == (drawn.left + drawn.right) / 2
    assert second.low == second.high == drawn.right
    assert [tick.label for tick in drawn.ticks] == ["0", "2", "4", "6", "8", "10"]
    assert len(second.name) == whiskers.LONGEST


def test_of_a_chinese_name_half_as_many_characters_stand_beside_an_interval() -> None:
    """Each is twice as wide, and what does not fit would be cut off at the picture's edge, from the beginning."""
    fits, too_long = "第一轮奖励模型的策略版", "第一轮之后的奖励模型与策略"
    drawn = whiskers.draw([(fits, 1.0, 0.0, 2.0), (too_long, 1.0, 0.0, 2.0), ("ab" + fits, 1.0, 0.0, 2.0)])
    assert len(fits) == whiskers.LONGEST // 2
    assert [row.name for row in drawn.rows] == [fits, "第一轮之后的奖励模型…", "ab第一轮奖励模型的策…"]
    assert drawn.rows[1].text.startswith(too_long)


def test_a_plot_says_its_unit(scene: Scene, two: list[str]) -> None:
    made = report.compose(scene.project, two)
    plots = {plot.name: plot.about for plot in (*made.plots, *made.subjects[0].curves)}
    assert plots["evaluation-bleu"].endswith("(from 0 to 100)")
    assert plots["model-1-objective-reward"].endswith("It should rise. (reward, no unit)")
    assert "(reward, no unit)" in text(report.as_html(made)).partition("Curves")[2]
