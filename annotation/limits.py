"""How many requests one person, token or address makes in a minute, counted by all web processes together.

A process takes from the shared count in small blocks and spends them by itself, so that most requests ask nobody.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from django.core.cache import cache

MINUTE = 60
BLOCKS = 100  # that a minute's requests are taken in


@dataclass
class Purse:
    minute: int
    left: int = 0


class Limits:
    """`purses` are this process's own, by who spends from them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.purses: dict[str, Purse] = {}

    def wait(self, who: str, *, most: int) -> int:
        """Count a request; 0, or in how many seconds there is room for it again. `most` a minute, 0: any number."""
        if not most:
            return 0
        now = time.time()
        minute = int(now // MINUTE)
        with self.lock:
            purse = self.purses.get(who)
            if purse and purse.minute == minute and purse.left:
                purse.left -= 1
                return 0
        block = max(1, most // BLOCKS)
        if _taken(f"requests:{who}:{minute}", block) > most:
            return MINUTE - int(now % MINUTE)
        with self.lock:
            if len(self.purses) > 10_000 or (purse and purse.minute != minute):
                self.purses = {key: each for key, each in self.purses.items() if each.minute == minute}
            self.purses.setdefault(who, Purse(minute)).left += block - 1
        return 0

    def forget(self) -> None:
        self.purses.clear()


limits = Limits()


def _taken(key: str, count: int) -> int:
    """How many are taken in this minute with these."""
    try:
        return int(cache.incr(key, count))
    except ValueError:
        cache.add(key, 0, 2 * MINUTE)
        return int(cache.incr(key, count))
