"""Amounts of money in words of both languages, in currencies with no, two and three decimals."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import translation

from annotation.money import as_pay, as_rate


@pytest.mark.parametrize(
    ("amount", "currency", "rate", "pay"),
    [
        ("21.5", "USD", "$21.50", "$21.50"),
        ("20.0000", "USD", "$20.00", "$20.00"),
        ("0.0525", "EUR", "€0.0525", "€0.05"),
        ("1234.5", "JPY", "¥1,234.5", "¥1,234"),
        ("1200", "JPY", "¥1,200", "¥1,200"),
        ("3", "KWD", "KWD3.000", "KWD3.000"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(amount: str, currency: str, rate: str, pay: str) -> None:
    with translation.override("en"):
        assert (as_rate(Decimal(amount), currency), as_pay(Decimal(amount), currency)) == (rate, pay)


def test_the_sign_is_that_of_the_readers_language() -> None:
    with translation.override("zh-hans"):
        assert as_rate(Decimal("21.5"), "USD") == "US$21.50"
        assert as_pay(Decimal("99.999"), "CNY") == "¥100.00"
