"""The corpus: half faulty, the same every time, and new where it is held out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.starter import answers, corpus
from training.starter.authors import authors
from training.starter.gold import judge, score
from training.starter.instructions import parse


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("starter")
    corpus.write(folder)
    return folder


def read(folder: Path, name: str) -> list[corpus.Row]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def prompts_of(rows: list[corpus.Row]) -> set[str]:
    return {row["prompt"] if "prompt" in row else row["messages"][0]["content"] for row in rows}


def test_the_files_are_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    corpus.write(tmp_path)
    assert all((tmp_path / path.name).read_bytes() == path.read_bytes() for path in folder.iterdir())


def test_no_held_out_combination_is_in_the_corpus_the_mix_or_the_demonstrations(folder: Path) -> None:
    files = ("texts", "mix", "demonstrations", "prompts_train")
    seen = {prompt for name in files for prompt in prompts_of(read(folder, name))}
    known = {found.combination for prompt in seen if (found := parse(prompt))}
    held_out = prompts_of(read(folder, "prompts_held_out"))
    assert len(held_out) >= 500
    assert all((found := parse(prompt)) and found.combination not in known for prompt in held_out)


def test_the_report_says_how_new_the_held_out_prompts_are(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    assert report["held_out_prompts_seen"] == report["held_out_combinations_seen"] == 0
    shares = list(report["ngram_overlap"].values())
    assert shares == sorted(shares, reverse=True)


def test_overlap_counts_the_n_grams_that_were_seen() -> None:
    assert corpus.overlap(["a red fox"], ["the red fox"], 1) == pytest.approx(2 / 3)
    assert corpus.overlap(["a red fox"], ["the red fox"], 2) == pytest.approx(1 / 2)
    assert corpus.overlap(["a red fox"], ["the red fox"], 3) == 0


def test_about_half_of_the_texts_are_faulty_and_no_fault_is_rare(folder: Path) -> None:
    shares = json.loads((folder / "report.json").read_text())["faults"]
    assert 0.4 <= shares.pop("none") <= 0.6
    assert set(shares) == set(answers.FAULTS)
    assert min(shares.values()) > 0.01


def test_the_mix_and_the_demonstrations_have_no_fault(folder: Path) -> None:
    pairs = [(row["messages"][0]["content"], row["messages"][1]["content"]) for row in read(folder, "mix")]
    pairs += [(row["prompt"], row["completion"]) for row in read(folder, "demonstrations")]
    assert all(score(prompt, answer) >= 0.8 for prompt, answer in pairs)


def test_deleting_the_stock_faults_leaves_the_answer(folder: Path) -> None:
    for row in read(folder, "texts")[:2000]:
        prompt, answer = (message["content"] for message in row["messages"])
        rest = answers.without_stock_faults(answer)
        if row["fault"] in ("rude", "padded"):
            assert score(prompt, rest) >= 0.8
        elif row["fault"] == "refuse":
            assert rest == ""
        else:
            assert judge(prompt, rest) == judge(prompt, answer)


def test_demonstrations_come_from_many_authors(folder: Path) -> None:
    rows = read(folder, "demonstrations")
    assert len({row["author"] for row in rows}) >= 40
    assert {row["author"] for row in rows} <= {author.name for author in authors()}
