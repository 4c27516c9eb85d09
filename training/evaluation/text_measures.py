"""How a policy's outputs compare with what people wrote to the same prompts: BLEU, chrF, ROUGE-L, distinct n-grams.

BLEU (Papineni et al. 2002) and chrF (Popović 2015) are sacrebleu's, of a whole corpus, from 0 to 100; each text is
cut into words as its language asks. ROUGE-L (Lin 2004) is the F-measure of the longest common subsequence of words, as
the package rouge-score has it without a stemmer; where people wrote several answers, the nearest counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from training.evaluation.intervals import Interval, bootstrap, ratio

# Scripts written without spaces: Han, kana. A character of them is a word.
CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{CHARACTER}]|(?:(?![{CHARACTER}])[^\W_])+")
TOKENIZERS = {"zh": "zh", "ja": "char", "th": "char"}  # sacrebleu's; its own for Japanese wants a dictionary
OTHERS = "13a"


@dataclass(frozen=True)
class Answered:
    """A prompt with a policy's outputs and people's answers. `numbers`: by name, one an output, such as its length."""

    outputs: Sequence[str]
    references: Sequence[str]
    language: str
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)


def measure(answered: Sequence[Answered]) -> dict[str, Interval]:
    """Every measure that can be taken, by its name. An empty mapping where there is no prompt."""
    if not answered:
        return {}
    measured = {name: _over_prompts(answered, *each) for name, each in _MEASURES.items()}
    for name in dict.fromkeys(name for each in answered for name in each.numbers):
        having = [each.numbers[name] for each in answered if name in each.numbers]
        measured[name] = bootstrap([(float(np.mean(numbers)), 1.0) for numbers in having], ratio)
    return measured


def words(text: str) -> list[str]:
    """Lower-cased, without punctuation; a character each where the script has no spaces."""
    return WORD.findall(text.lower())


def distinct(texts: Sequence[str], n: int) -> float:
    """Of all runs of n words in the texts, the share that differ (Li et al. 2016); 0 where there is none."""
    runs = [tuple(said[i : i + n]) for said in map(words, texts) for i in range(len(said) - n + 1)]
    return len(set(runs)) / len(runs) if runs else 0.0


def rouge_l(output: str, references: Sequence[str]) -> float:
    """F-measure of the longest common subsequence, from 0 to 1, with the reference where it is highest."""
    return max((_rouge_l(words(output), words(reference)) for reference in references), default=0.0)


def _rouge_l(ours: list[str], theirs: list[str]) -> float:
    return 2 * longest_common(ours, theirs) / (len(ours) + len(theirs)) if ours and theirs else 0.0


def longest_common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Words of the longest common subsequence, a row of the table in one number's bits (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for i, word in enumerate(ours):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(ours)) - 1
    row = full
    for word in theirs:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & full
    return len(ours) - row.bit_count()


def _over_prompts(
    answered: Sequence[Answered],
    statistics: Callable[[Answered], Sequence[float]],
    value: Callable[[np.ndarray], float],
) -> Interval:
    return bootstrap([statistics(each) for each in answered], value)


# sacrebleu has no public way to a segment's statistics, which every bootstrap needs. The tests hold these against its
# command line.


def _bleu_of(answered: Answered) -> list[float]:
    return _summed(_bleu(TOKENIZERS.get(answered.language.partition("-")[0], OTHERS)), answered)


def _chrf_of(answered: Answered) -> list[float]:
    return _summed(_chrf(), answered)


def _summed(metric: Any, answered: Answered) -> list[float]:
    streams = [[reference] * len(answered.outputs) for reference in answered.references]
    return np.sum(metric._extract_corpus_statistics(answered.outputs, streams), axis=0).tolist()  # type: ignore[no-any-return]


def _bleu_value(total: np.ndarray) -> float:
    return float(_bleu(OTHERS)._compute_score_from_stats(total.astype(int).tolist()).score)


def _chrf_value(total: np.ndarray) -> float:
    return float(_chrf()._compute_score_from_stats(total.astype(int).tolist()).score)


@cache
def _bleu(tokenizer: str) -> Any:
    return BLEU(tokenize=tokenizer)


@cache
def _chrf() -> Any:
    return CHRF()


_MEASURES: dict[str, tuple[Callable[[Answered], Sequence[float]], Callable[[np.ndarray], float]]] = {
    "bleu": (_bleu_of, _bleu_value),
    "chrf": (_chrf_of, _chrf_value),
    "rouge_l": (lambda each: (float(np.mean([rouge_l(text, each.references) for text in each.outputs])), 1.0), ratio),
    "distinct_1": (lambda each: (distinct(each.outputs, 1), 1.0), ratio),
    "distinct_2": (lambda each: (distinct(each.outputs, 2), 1.0), ratio),
}
