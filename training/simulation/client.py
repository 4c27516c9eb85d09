"""The HTTP API as a person's script uses it: one token, one connection, plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

Json = dict[str, Any]
TIMEOUT_SECONDS = 60.0


class ApiError(RuntimeError):
    """The server refused: its status, and what it said."""


class Client:
    """Signed in as one person. Use as a context manager; not to be shared between threads."""

    def __init__(self, address: str, *, token: str) -> None:
        self._http = httpx.Client(
            base_url=f"{address.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        return self._answer(self._http.get(path))

    def post(self, path: str, content: Json | None = None) -> Any:
        return self._answer(self._http.post(path, json=content or {}))

    def take(self, project: str, *, kinds: Sequence[str]) -> Json | None:
        """The next piece of work, or None where nothing waits for this person."""
        found: Json | None = self.post(f"projects/{project}/queue/take/", {"kinds": list(kinds)})
        return found

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        if response.is_error:
            request = response.request
            raise ApiError(
                f"{request.method} {request.url.path} answered {response.status_code}: {response.text[:500]}"
            )
        return response.json() if response.content else None
