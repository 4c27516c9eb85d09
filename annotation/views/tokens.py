"""API tokens: made here, their secret shown once, and taken back."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from annotation import audit
from annotation.audiences import OwnToken
from annotation.forms import TokenForm
from annotation.models import ApiToken
from annotation.views.decorators import INVALID, SignedInRequest, page


@page("GET", "POST")
def tokens(request: SignedInRequest) -> HttpResponse:
    form = TokenForm(request.POST if request.method == "POST" else None)
    secret = ""
    if form.is_valid():
        sent = form.cleaned_data
        lifetime = timedelta(days=sent["days"])
        token, secret = ApiToken.issue(request.user, name=sent["name"], lifetime=lifetime, scopes=sent["scopes"])
        audit.record(audit.Action.TOKEN_MADE, actor=request.user, token=token.pk, scopes=token.scopes)
        form = TokenForm()
    context = {"form": form, "secret": secret, "tokens": ApiToken.objects.filter(user=request.user)}
    response = render(request, "account/tokens.html", context, status=INVALID if form.is_bound else 200)
    response["Cache-Control"] = "no-store"
    return response


@page("POST", audience=OwnToken())
def revoke(request: SignedInRequest, token: ApiToken) -> HttpResponse:
    audit.record(audit.Action.TOKEN_REVOKED, actor=request.user, token=token.pk)
    token.delete()
    messages.success(request, _("The token “%s” no longer works.") % token.name)
    return redirect("tokens")
