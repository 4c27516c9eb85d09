"""Numbers of rows in what somebody sent."""

from __future__ import annotations

MOST_DIGITS = 18  # all such numbers fit the database's; Python refuses to read those of thousands of digits


def row_number(text: str) -> int | None:
    """The number that the text is, if a row can have it."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


def row_numbers(texts: list[str]) -> list[int]:
    """Those of the texts that are numbers of rows."""
    return [number for text in texts if (number := row_number(text)) is not None]
