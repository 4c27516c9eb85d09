"""What a model is worth, measured on demand against people's held-out work. Nothing here opens a model."""

from __future__ import annotations


class EvaluationRefused(Exception):
    """There is nothing to measure the model on; the message is shown to the person."""
