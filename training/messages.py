"""Nudges to the workers for the tasks of training."""

from __future__ import annotations

from annotation import messages
from annotation.messages import SWEEP_SECONDS

__all__ = ["SWEEP_SECONDS", "nudge"]


def nudge(task: str, row_id: int) -> None:
    """Have a worker run this task of ours on the row, once the transaction that is open now has been committed."""
    messages.nudge(f"training.tasks.{task}", row_id)
