from __future__ import annotations

from django.urls import path

from annotation.api import data, projects, tokens, work

urlpatterns = [
    path("projects/", projects.ProjectList.as_view(), name="api-projects"),
    path("projects/<slug:slug>/", projects.ProjectDetail.as_view(), name="api-project"),
    path("projects/<slug:slug>/progress/", projects.ProjectProgress.as_view(), name="api-progress"),
    path("projects/<slug:slug>/queue/take/", work.Take.as_view(), name="api-take"),
    path("projects/<slug:slug>/terms/", work.Terms.as_view(), name="api-terms"),
    path("projects/<slug:slug>/point-out/", work.PointOut.as_view(), name="api-point-out"),
    path("projects/<slug:slug>/held/", data.Held.as_view(), name="api-held"),
    path("projects/<slug:slug>/held/<int:pk>/allow/", data.Allow.as_view(), name="api-allow"),
    path("projects/<slug:slug>/import/<str:kind>/", data.Import.as_view(), name="api-import"),
    path("projects/<slug:slug>/export/<str:kind>.<str:form>", data.Export.as_view(), name="api-export"),
    path("assignments/<int:pk>/", work.AssignmentDetail.as_view(), name="api-assignment"),
    path("assignments/<int:pk>/submit/", work.Submit.as_view(), name="api-submit"),
    path("assignments/<int:pk>/edit/", work.Edit.as_view(), name="api-edit"),
    path("assignments/<int:pk>/appeal/", work.Appeal.as_view(), name="api-appeal"),
    path("assignments/<int:pk>/improve/", work.Improve.as_view(), name="api-improve"),
    path("assignments/<int:pk>/withdraw/", work.Withdraw.as_view(), name="api-withdraw"),
    path("assignments/<int:pk>/skip/", work.Skip.as_view(), name="api-skip"),
    path("assignments/<int:pk>/skip/undo/", work.UndoSkip.as_view(), name="api-undo-skip"),
    path("assignments/<int:pk>/heartbeat/", work.Heartbeat.as_view(), name="api-heartbeat"),
    path("assignments/<int:pk>/draft/", work.Draft.as_view(), name="api-draft"),
    path("tokens/", tokens.TokenList.as_view(), name="api-tokens"),
    path("tokens/<int:pk>/", tokens.TokenDetail.as_view(), name="api-token"),
]
