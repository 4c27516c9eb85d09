"""The OpenAPI schema: beside what each endpoint answers, the refusals that any of its kind may answer with."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers


class RefusedSerializer(serializers.Serializer[Any]):
    """Why the request was refused."""

    detail = serializers.CharField()


ANYWHERE = {
    401: "Nobody has signed in, or the token is unknown or has expired.",
    403: "You may not do this, or your token may not.",
    429: "Too many requests; Retry-After says in how many seconds there is room again.",
}
NOT_THERE = {404: "There is no such thing, or it is not for you to know of."}
UNREADABLE = {400: "What was sent can't be understood; says of each field what is wrong with it."}
TOO_MUCH = {413: "More was sent than is read at once.", 415: "What was sent is of a type that is not read here."}
CONFLICT = {409: "It was understood, but can't be done as things stand."}
CONFLICTS = {code: OpenApiResponse(RefusedSerializer, description=why) for code, why in CONFLICT.items()}


class Schema(AutoSchema):
    """Only what looks and may meet a conflict has to name CONFLICTS."""

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for code, why in self._refusals().items():
            shape = OpenApiTypes.OBJECT if code in UNREADABLE else RefusedSerializer
            told = OpenApiResponse(shape, description=why)
            found = self._get_response_for_code(  # type: ignore[no-untyped-call]
                told, str(code), ["application/json"], direction
            )
            bodies.setdefault(str(code), found)
        return dict(sorted(bodies.items()))

    def _refusals(self) -> dict[int, str]:
        is_read = self.method in ("POST", "PUT", "PATCH") and self.get_request_serializer() is not None
        asks = any(parameter["in"] == "query" for parameter in self._get_parameters())
        return (
            ANYWHERE
            | (NOT_THERE if "{" in self.path else {})
            | (UNREADABLE if is_read or asks else {})
            | (TOO_MUCH if is_read else {})
            | (CONFLICT if self.method != "GET" else {})
        )
