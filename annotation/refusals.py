"""What a person is told when their request can't be carried out."""

from __future__ import annotations


class Refused(Exception):
    """Nothing was changed, but for a draft that was kept. The message is translated and meant for the person."""
