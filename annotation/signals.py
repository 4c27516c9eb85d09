"""What the collecting side tells whoever listens."""

from __future__ import annotations

from django.dispatch import Signal

# Sent with `withdrawal` (annotation.models.Withdrawal), in the transaction that removes the records. A listener that
# can't follow now raises Refused, and nothing is removed.
data_withdrawn = Signal()
