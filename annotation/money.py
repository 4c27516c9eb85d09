"""Amounts of money as the reader's language writes them, with the decimals that the currency has."""

from __future__ import annotations

from decimal import Decimal

from babel.numbers import format_currency
from django.utils.translation import get_language, to_locale


def as_rate(amount: Decimal, currency: str) -> str:
    """None of the amount's own decimals is lost: the rate of a piece may be a part of a cent."""
    return format_currency(amount.normalize(), currency, locale=_locale(), decimal_quantization=False)


def as_pay(amount: Decimal, currency: str) -> str:
    """Rounded to what can be paid out."""
    return format_currency(amount, currency, locale=_locale())


def _locale() -> str:
    return to_locale(get_language() or "en")
