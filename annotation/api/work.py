"""An annotator's work: take, look, draft, submit, skip. The pages call the same verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from annotation import appeals, blinding, collection, pointing_out, terms, withdrawing
from annotation import assignment as leases
from annotation.api import serializers
from annotation.api.base import Endpoint, checked, made_once
from annotation.audiences import Members, OwnAssignment
from annotation.models import Assignment, AssignmentState, ItemKind, Project, Role, Scope, SkipReason, User
from annotation.refusals import Refused
from annotation.wording import cleaned_messages

NOTHING_WAITS = OpenApiResponse(description="Nothing waits for you.")
SUBMITS: dict[str, type[Serializer[Any]]] = {
    ItemKind.INSTRUCTION: serializers.InstructionSerializer,
    ItemKind.DEMONSTRATION: serializers.DemonstrationSerializer,
    ItemKind.RANKING: serializers.RankingSerializer,
}
ANY_SUBMIT = PolymorphicProxySerializer(
    component_name="Submit", serializers=list(SUBMITS.values()), resource_type_field_name=None
)


class Work(Endpoint):
    scope = Scope.ANNOTATE


class Take(Work):
    audience = Members(Role.ANNOTATOR)

    @extend_schema(
        request=serializers.TakeSerializer, responses={200: serializers.AssignmentSerializer, 204: NOTHING_WAITS}
    )
    def post(self, request: Request, slug: str) -> Response:
        """Take the next piece of work, or get back the one you hold."""
        kinds = checked(serializers.TakeSerializer, request).get("kinds")
        content = _next(self.project, self.user, kinds)
        if content is None and terms.due(self.project, self.user):
            raise Refused(_("Agree to the project's terms first."))
        return Response(content, status.HTTP_200_OK if content else status.HTTP_204_NO_CONTENT)


class AssignmentDetail(Work):
    audience = OwnAssignment()

    @extend_schema(responses=serializers.AssignmentSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """A piece of work of yours."""
        return Response(shown(self.assignment))


class Submit(Work):
    audience = OwnAssignment()

    @extend_schema(request=ANY_SUBMIT, responses=serializers.SubmittedSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Submit the piece; the body depends on its kind. With `take_next`, the answer holds the next one."""
        assignment = self.assignment
        sent = checked(SUBMITS[assignment.item.kind], request)
        wanted = {"take_next": sent.pop("take_next"), "kinds": sent.pop("kinds", None)}
        _submit(assignment, sent)
        return _done(assignment, AssignmentState.SUBMITTED, self.user, **wanted)


class Edit(Work):
    audience = OwnAssignment()

    @extend_schema(request=ANY_SUBMIT, responses=serializers.SubmittedSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Put other content in the place of what you submitted: until it is reviewed, frozen or built on."""
        assignment = self.assignment
        sent = checked(SUBMITS[assignment.item.kind], request)
        wanted = {"take_next": sent.pop("take_next"), "kinds": sent.pop("kinds", None)}
        _submit(assignment, sent | {"edit": True})
        return _done(assignment, AssignmentState.SUBMITTED, self.user, **wanted)


class Improve(Work):
    audience = OwnAssignment()

    @extend_schema(request=serializers.ImproveSerializer, responses=serializers.SubmittedSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Edit the output you ranked best: kept as an answer, and as preferred to the output."""
        assignment = self.assignment
        sent = checked(serializers.ImproveSerializer, request)
        [completion] = blinding.by_id(assignment, {sent["id"]: None})
        collection.improve(assignment, completion=completion, text=sent["text"])
        return _done(assignment, AssignmentState.SUBMITTED, self.user, take_next=False)


class Appeal(Work):
    audience = OwnAssignment()

    @extend_schema(request=serializers.AppealSerializer, responses=serializers.AppealSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Object to the rejection of your work."""
        assignment = self.assignment
        made = appeals.appeal(assignment, text=checked(serializers.AppealSerializer, request)["text"])
        return Response(serializers.AppealSerializer(made).data)


class Terms(Work):
    audience = Members(Role.ANNOTATOR)

    @extend_schema(responses=serializers.TermsSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """The terms in force, and whether you agreed to them."""
        return self.shown(self.project)

    @extend_schema(request=serializers.AgreeSerializer, responses=serializers.TermsSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Agree to the version that you have read."""
        terms.accept(get_object_or_404(self.project.terms, **checked(serializers.AgreeSerializer, request)), self.user)
        return self.shown(self.project)

    def shown(self, project: Project) -> Response:
        current = get_object_or_404(project.terms.order_by("-version")[:1])
        content = {"version": current.version, "text": current.text, "agreed": terms.due(project, self.user) is None}
        return Response(serializers.TermsSerializer(content).data)


class Skip(Work):
    audience = OwnAssignment()

    @extend_schema(request=serializers.SkipSerializer, responses=serializers.SubmittedSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Give the piece back for others."""
        assignment = self.assignment
        sent = checked(serializers.SkipSerializer, request)
        leases.skip(assignment, reason=SkipReason(sent.pop("reason")))
        assignment.refresh_from_db(fields=["state"])
        return _done(assignment, AssignmentState(assignment.state), self.user, **sent)


class PutBack(Work):
    audience = Members(Role.ANNOTATOR)

    @extend_schema(request=serializers.PutBackSerializer, responses=serializers.PutBackDoneSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Put what you have in hand back without skipping it, to take up another kind of work. Drafts are kept."""
        sent = checked(serializers.PutBackSerializer, request)
        count = leases.put_back(self.project, self.user)
        following = _next(self.project, self.user, sent.get("kinds")) if sent["take_next"] else None
        return Response({"put_back": count, "next": following})


class Withdraw(Work):
    audience = OwnAssignment()

    @extend_schema(request=None, responses=serializers.LeaseSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Take what you submitted back, and whatever was made of it. It is removed for good."""
        assignment = self.assignment
        withdrawing.withdraw(assignment)
        return _lease(assignment)


class Leave(Work):
    audience = Members(Role.ANNOTATOR)

    @extend_schema(request=None, responses=serializers.WithdrawnSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Leave the project as an annotator, and take all that you wrote and ranked there along. It is removed."""
        return Response(withdrawing.leave(self.project, self.user).counts())


class UndoSkip(Work):
    audience = OwnAssignment()

    @extend_schema(request=None, responses=serializers.LeaseSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Get a piece back that you skipped, with its draft, while nobody else has taken it."""
        assignment = self.assignment
        if not leases.undo_skip(assignment):
            raise Refused(_("Others have taken the piece meanwhile, so it can't come back to you."))
        return _lease(assignment)


class Heartbeat(Work):
    audience = OwnAssignment()

    @extend_schema(request=None, responses=serializers.LeaseSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Say that you are still at it: the lease starts anew."""
        assignment = self.assignment
        leases.heartbeat(assignment)
        return _lease(assignment)


class Draft(Work):
    audience = OwnAssignment()

    @extend_schema(request=serializers.DraftSerializer, responses=serializers.LeaseSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Keep what was typed so far; it comes back with the assignment."""
        assignment = self.assignment
        collection.save_draft(assignment, checked(serializers.DraftSerializer, request)["draft"])
        return _lease(assignment)


class PointOut(Work):
    audience = Members(Role.ANNOTATOR)

    @extend_schema(request=serializers.TextsSerializer, responses=serializers.PointedOutSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """What a writer should know of a text: near repeats of it in the project, personal data. Nothing is kept."""
        longest = max(self.project.max_prompt_characters, self.project.max_answer_characters)
        messages = cleaned_messages(checked(serializers.TextsSerializer, request)["messages"], longest=longest)
        return Response({"pointed_out": pointing_out.of_instruction(self.project, messages)})


def _submit(assignment: Assignment, content: dict[str, Any]) -> None:
    if assignment.item.kind != ItemKind.RANKING:
        content["spent"] = content.pop("seconds")
    if assignment.item.kind == ItemKind.INSTRUCTION:
        collection.submit_instruction(assignment, **content)
    elif assignment.item.kind == ItemKind.DEMONSTRATION:
        collection.submit_demonstration(assignment, **content)
    else:
        content["groups"] = blinding.groups_by_id(assignment, content["groups"])
        content["ratings"] = blinding.by_id(assignment, content["ratings"])
        content["flags"] = blinding.by_id(assignment, content["flags"])
        collection.submit_ranking(assignment, **content)


def _done(
    assignment: Assignment, state: AssignmentState, user: User, *, take_next: bool, kinds: Sequence[str] | None = None
) -> Response:
    following = _next(assignment.item.project, user, kinds) if take_next else None
    return Response({"id": assignment.pk, "state": state, "next": following})


def _next(project: Project, user: User, kinds: Sequence[str] | None) -> dict[str, Any] | None:
    if terms.due(project, user):
        return None
    assignment = leases.take(project, user, kinds=[ItemKind(kind) for kind in kinds] if kinds else None)
    return None if assignment is None else shown(assignment)


def shown(assignment: Assignment) -> dict[str, Any]:
    assignment.completions = blinding.outputs(assignment) if assignment.shown else []  # type: ignore[attr-defined]
    content: dict[str, Any] = made_once(serializers.AssignmentSerializer).to_representation(assignment)
    return content


def _lease(assignment: Assignment) -> Response:
    assignment.refresh_from_db(fields=["state", "lease_expires_at"])
    return Response(serializers.LeaseSerializer(assignment).data)
