"""Text measures against cases done by hand, and against the command lines of sacrebleu and rouge-score."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.evaluation.intervals import FEWEST, bootstrap, ratio
from training.evaluation.text_measures import Answered, distinct, longest_common, measure, rouge_l, words

ENGLISH = [
    ("The capital of France is Paris.", "Paris is the capital of France."),
    ("A cat sat on the mat, didn't it?", "The cat sat on the mat."),
    ("I do not know.", "Rome lies on the river Tiber in Italy."),
    ("Berlin has 3.5 million people, more than any other town.", "Berlin has about 3.5 million people in all."),
]
CHINESE = [
    ("法国的首都是巴黎。", "巴黎是法国的首都。"),
    ("猫坐在垫子上，很安静。", "那只猫坐在垫子上。"),
    ("我不知道。", "罗马在意大利的台伯河边。"),
]


def answered(pairs: list[tuple[str, str]], language: str) -> list[Answered]:
    return [Answered([output], [reference], language) for output, reference in pairs]


def sacrebleu(folder: Path, pairs: list[tuple[str, str]], *options: str) -> float:
    """What sacrebleu's own command line says."""
    for name, place in (("outputs", 0), ("references", 1)):
        (folder / name).write_text("".join(f"{pair[place]}\n" for pair in pairs))
    command = [sys.executable, "-m", "sacrebleu", folder / "references", "-i", folder / "outputs", "-w", "6"]
    told = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    return float(json.loads(told.stdout)["score"])


@pytest.mark.parametrize(
    ("pairs", "language", "tokenizer"),
    [(ENGLISH, "en", "13a"), (CHINESE, "zh", "zh"), (CHINESE, "zh-hans", "zh"), (CHINESE, "ja", "char")],
)
def test_bleu_and_chrf_are_those_of_sacrebleus_command_line(
    tmp_path: Path, pairs: list[tuple[str, str]], language: str, tokenizer: str
) -> None:
    found = measure(answered(pairs, language))
    assert found["bleu"].value == pytest.approx(sacrebleu(tmp_path, pairs, "-tok", tokenizer), abs=1e-5)
    assert found["chrf"].value == pytest.approx(sacrebleu(tmp_path, pairs, "-m", "chrf"), abs=1e-5)


def test_rouge_l_is_that_of_rouge_scores_command_line(tmp_path: Path) -> None:
    """Over texts made of few words, so that subsequences are long, and over ordinary ones."""
    random.seed(1)
    texts = [" ".join(random.choices("a b c d Is, no-one 3.5".split(), k=random.randint(1, 30))) for _n in range(80)]
    pairs = [*zip(texts[::2], texts[1::2], strict=True), *ENGLISH]
    for name, place in (("outputs", 0), ("references", 1)):
        (tmp_path / name).write_text("".join(f"{pair[place]}\n" for pair in pairs))
    command = [sys.executable, "-m", "rouge_score.rouge", "--rouge_types=rougeL", "--noaggregate"]
    files = {"target_filepattern": "references", "prediction_filepattern": "outputs", "output_filename": "out.csv"}
    flags = [f"--{flag}={tmp_path / name}" for flag, name in files.items()]
    subprocess.run([*command, *flags], capture_output=True, check=True)
    with (tmp_path / "out.csv").open() as file:
        told = [float(row["rougeL-F"]) for row in csv.DictReader(file)]
    assert [rouge_l(ours, [theirs]) for ours, theirs in pairs] == pytest.approx(told, abs=1e-6)


def test_rouge_l_by_hand() -> None:
    """police kill the gunman, Lin 2004: the longest common subsequence of four words each is three, or two, long."""
    assert rouge_l("police kill the gunman", ["police killed the gunman"]) == pytest.approx(3 / 4)
    assert rouge_l("the gunman kill police", ["police killed the gunman"]) == pytest.approx(2 / 4)
    assert rouge_l("巴黎是首都", ["首都是巴黎"]) == pytest.approx(2 / 5)
    assert rouge_l("yes", ["no", "yes, it is", "yes"]) == 1
    assert rouge_l("", ["something"]) == rouge_l("something", ["..."]) == 0


def test_the_longest_common_subsequence_is_that_of_the_plain_table() -> None:
    random.seed(2)
    for _round in range(50):
        ours, theirs = (random.choices("abcd", k=random.randint(0, 90)) for _text in range(2))
        table = np.zeros((len(ours) + 1, len(theirs) + 1), dtype=int)
        for i, one in enumerate(ours):
            for j, other in enumerate(theirs):
                table[i + 1, j + 1] = table[i, j] + 1 if one == other else max(table[i, j + 1], table[i + 1, j])
        assert longest_common(ours, theirs) == table[-1, -1]


def test_a_character_is_a_word_where_there_are_no_spaces() -> None:
    assert words("Don't say “GPT-4”: 你好，世界2次") == ["don", "t", "say", "gpt", "4", *"你好世界", "2", "次"]
    assert words("_한국 여행_ ÉTÉ") == ["한국", "여행", "été"]


def test_distinct_counts_what_differs_among_the_runs_of_all_texts() -> None:
    assert distinct(["a b a b"], 1) == 2 / 4
    assert distinct(["a b a b"], 2) == 2 / 3
    assert distinct(["a b", "b a", "A b!"], 2) == 2 / 3
    assert distinct(["one"], 2) == 0


def test_outputs_in_two_languages_are_cut_each_by_its_own_and_counted_together() -> None:
    """The BLEU of a mixed corpus lies between those of its parts; cut by one tokenizer it would not."""
    english, chinese = answered(ENGLISH, "en"), answered(CHINESE, "zh")
    parts = sorted(measure(part)["bleu"].value for part in (english, chinese))
    assert parts[0] < measure(english + chinese)["bleu"].value < parts[1]
    uncut = measure(english + answered(CHINESE, "en"))["bleu"].value
    assert uncut != pytest.approx(measure(english + chinese)["bleu"].value, abs=0.5)


def test_several_answers_of_people_count_and_several_outputs_of_a_prompt_too(tmp_path: Path) -> None:
    (output, reference), *rest = ENGLISH
    both = Answered([output], ["Something else.", reference], "en")
    assert measure([both, *answered(rest, "en")])["rouge_l"] == measure(answered(ENGLISH, "en"))["rouge_l"]
    twice = [Answered([output] * 2, [reference], "en") for output, reference in ENGLISH]
    assert measure(twice)["chrf"] == measure(answered(ENGLISH, "en"))["chrf"]
    assert measure(twice)["distinct_2"].value == pytest.approx(measure(answered(ENGLISH, "en"))["distinct_2"].value / 2)


def test_numbers_are_averaged_over_each_prompts_outputs_then_over_prompts() -> None:
    rows = [Answered(["x", "y"], ["x"], "en", {"length": (1, 3)}), Answered(["z"], ["x"], "en", {"length": (8,)})]
    assert measure(rows)["length"].value == 5
    assert measure([]) == {}


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    random_numbers = np.random.default_rng(0)
    held = 0
    for _round in range(200):
        found = bootstrap([(float(each), 1.0) for each in random_numbers.normal(3, 1, size=40)], ratio)
        assert found.low is not None
        assert found.high is not None
        held += found.low < 3 < found.high
    assert 0.89 <= held / 200 <= 0.98


def test_a_handful_of_prompts_gives_no_interval() -> None:
    row = (1.0, 1.0)
    assert bootstrap([row] * (FEWEST - 1), ratio).low is None
    assert bootstrap([row] * FEWEST, ratio).low == 1
    with pytest.raises(ValueError, match="no prompt"):
        bootstrap([], ratio)
