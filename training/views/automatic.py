"""The page that says when a project's rounds start by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from annotation.models import Project
from annotation.views.decorators import INVALID, SignedInRequest
from training import automatic
from training.models import AutomaticRounds
from training.views.decorators import researchers_page

if TYPE_CHECKING:
    AutomaticModelForm = forms.ModelForm[AutomaticRounds]
else:
    AutomaticModelForm = forms.ModelForm


class AutomaticForm(AutomaticModelForm):
    class Meta:
        model = AutomaticRounds
        fields: ClassVar = ["is_on", "rankings", "demonstrations", "hours", "agreement"]


@researchers_page("GET", "POST")
def rule(request: SignedInRequest, project: Project) -> HttpResponse:
    """The rule, what is new since the last round, and why none started."""
    current = automatic.of(project)
    form = AutomaticForm(request.POST or None, instance=current, label_suffix="")
    if form.is_valid():
        automatic.change(form.instance, user=request.user)
        messages.success(
            request, _("Rounds start by themselves.") if current.is_on else _("No round starts by itself.")
        )
        return redirect("rounds-automatic", project.slug)
    context = {"project": project, "form": form, "rule": automatic.of(project), "new": automatic.new_rows(project)}
    return render(request, "training/automatic.html", context, status=INVALID if form.errors else None)
