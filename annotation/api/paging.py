"""Lists of the API, a page at a time."""

from __future__ import annotations

from rest_framework.pagination import LimitOffsetPagination


class Pages(LimitOffsetPagination):
    """As many as `limit` asks for, the most there can be of them at once; a larger `limit` gets that many."""

    max_limit = 1000
