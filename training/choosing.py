"""Which sets of outputs people rank next: where the reward model is unsure, and where little has been ranked.

A share is drawn by lot, before anybody looks at what the outputs are, and stays told from the rest: figures of models
are measured on sets that were not chosen for being hard. A set is taken or left as a whole. Choosing among the outputs
of a prompt by their rewards would tilt how two policies that share a set compare.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from annotation.models import ChosenBy

POOL = 3  # prompts that are answered for each that people get
Group = tuple[str, str]  # use case and language


@dataclass(frozen=True)
class Candidate:
    """A prompt with its outputs' rewards; without rewards, or with one that is no number, nothing is known of it."""

    prompt: int
    group: Group
    rewards: Sequence[float] = ()

    @property
    def is_known(self) -> bool:
        return len(self.rewards) > 1 and all(map(math.isfinite, self.rewards))


def choose(
    candidates: Sequence[Candidate], *, count: int, random_share: float, ranked: Mapping[Group, int], seed: int
) -> dict[int, ChosenBy]:
    """The prompts that people get, and by what each was chosen: `count` of them, or all where there are fewer.

    random_share, 0 to 1, is drawn by lot, rounded up. Of the rest half are those that the reward model is least sure
    of, and half go to the groups of which the fewest sets are `ranked`, these included, in each the least sure first.
    Of candidates whose rewards are not known none is chosen by them. The same seed gives the same choice.
    """
    lots = sorted({each.prompt: each for each in candidates}.values(), key=lambda each: _lot(seed, each.prompt))
    size = min(count, len(lots))
    by_lot = math.ceil(round(size * random_share, 9))
    drawn, rest = lots[:by_lot], lots[by_lot:]
    rest = sorted(rest, key=lambda each: -uncertainty(each.rewards) if each.is_known else 0.0)
    unsure = [each for each in rest if each.is_known][: (size - by_lot) // 2]
    chosen = dict.fromkeys((each.prompt for each in drawn), ChosenBy.LOT)
    chosen |= dict.fromkeys((each.prompt for each in unsure), ChosenBy.UNCERTAINTY)
    covered = Counter(ranked) + Counter(each.group for each in (*drawn, *unsure))
    left = defaultdict[Group, deque[int]](deque)
    for each in rest:
        if each.prompt not in chosen:
            left[each.group].append(each.prompt)
    while len(chosen) < size:
        thinnest = min((group for group in left if left[group]), key=lambda group: covered[group])
        covered[thinnest] += 1
        chosen[left[thinnest].popleft()] = ChosenBy.COVERAGE
    return chosen


def uncertainty(rewards: Sequence[float]) -> float:
    """How little the rewards say about the order: the mean of 4·p·(1 - p) over the pairs, with p = σ(r_i - r_j).

    rewards: (K,), K from 2. From 0, sure of every pair, to 1, all equal. p is what the Bradley-Terry model behind the
    reward model's loss claims, so this is as honest as its calibration. p·(1 - p) is the variance of the judgement that
    is asked for, and the information that it brings about r_i - r_j: uncertainty sampling (Lewis and Gale 1994, arXiv
    cmp-lg/9407020). Outputs that are alike are uncertain too, however well they are known.
    """
    odds = [math.exp(-abs(one - other)) for one, other in combinations(rewards, 2)]  # of the worse one, p / (1 - p)
    return sum(4 * each / (1 + each) ** 2 for each in odds) / len(odds)


def _lot(seed: int, prompt: int) -> bytes:
    return hashlib.sha256(f"{seed}:{prompt}".encode()).digest()
