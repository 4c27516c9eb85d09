"""Personal data in what somebody writes: pointed out to the writer, never removed or refused.

Numbers with a check digit (cards, IBAN, Chinese resident numbers) count only where it is right, so that years, prices
and phone-like examples stay quiet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from django.db import models
from django.utils.translation import gettext_lazy as _


class Kind(models.TextChoices):
    EMAIL = "email", _("an e-mail address")
    CARD = "card", _("a card number")
    IDENTITY = "identity", _("an identity number")
    ACCOUNT = "account", _("a bank account")
    PHONE = "phone", _("a phone number")


class Found(NamedTuple):
    kind: Kind
    text: str


def luhn(number: str) -> bool:
    """The check of payment cards: every second digit from the right doubled, the digits' sum a multiple of ten."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_card(number: str) -> bool:
    return 13 <= len(number) <= 19 and number[0] in "2345689" and len(set(number)) > 1 and luhn(number)


def is_resident_number(number: str) -> bool:
    """A Chinese resident identity number: its last character is a check of the 17 before (GB 11643)."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17].upper()


def is_iban(text: str) -> bool:
    moved = text[4:] + text[:4]
    return 15 <= len(text) <= 34 and int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def is_social_security_number(digits: str) -> bool:
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def is_phone(number: str) -> bool:
    return 9 <= len(number) <= 15


def always(text: str) -> bool:
    return True


# What it looks like, and what must hold of it without its separators. A stretch of text is only the first that fits.
PATTERNS: tuple[tuple[Kind, re.Pattern[str], Callable[[str], bool]], ...] = (
    (Kind.EMAIL, re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*\.[a-zA-Z]{2,24}"), always),
    (Kind.ACCOUNT, re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), is_iban),
    (Kind.IDENTITY, re.compile(r"(?<!\d)[1-9]\d{5}(?:19|20)\d{9}[\dXx](?!\d)"), is_resident_number),
    (Kind.IDENTITY, re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"), is_social_security_number),
    (Kind.CARD, re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"), is_card),
    (Kind.PHONE, re.compile(r"(?<![\w+])\+\d{1,3}(?:[ ().-]{0,2}\d){6,12}(?!\d)"), is_phone),
    (Kind.PHONE, re.compile(r"(?<![\d-])1[3-9]\d(?:[ -]?\d{4}){2}(?!\d)"), is_phone),
    (Kind.PHONE, re.compile(r"(?<![\w(])(?:\(\d{2,5}\) ?|0\d{1,4}[ -])\d{3,4}(?:[ -]?\d{2,4}){1,2}(?!\d)"), is_phone),
    (Kind.PHONE, re.compile(r"(?<![\d-])[2-9]\d{2}([-.])[2-9]\d{2}\1\d{4}(?!\d)"), is_phone),
)


def personal_data(text: str) -> list[Found]:
    """What looks like personal data, in the order of the text, each once."""
    places: list[tuple[int, int, Found]] = []
    for kind, pattern, holds in PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.span()
            overlaps = any(start < other_end and other_start < end for other_start, other_end, _found in places)
            if not overlaps and holds(re.sub(r"[^\w@]" if kind != Kind.EMAIL else r"\s", "", match[0])):
                places.append((start, end, Found(kind, match[0].strip())))
    return list(dict.fromkeys(found for _start, _end, found in sorted(places)))
