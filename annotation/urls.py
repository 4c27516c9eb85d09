from __future__ import annotations

from django.urls import path

from annotation.views import audit, data, home, members, quality, review, tokens, work

urlpatterns = [
    path("", home.home, name="home"),
    path("preferences/theme/", home.theme, name="theme"),
    path("account/tokens/", tokens.tokens, name="tokens"),
    path("account/tokens/<int:pk>/revoke/", tokens.revoke, name="token-revoke"),
    path("projects/<slug:slug>/", home.project, name="project"),
    path("projects/<slug:slug>/work/", work.work, name="work"),
    path("projects/<slug:slug>/export/", data.export, name="export"),
    path("projects/<slug:slug>/export/<str:kind>.<str:form>", data.export_file, name="export-file"),
    path("projects/<slug:slug>/import/", data.import_, name="import"),
    path("projects/<slug:slug>/members/", members.members, name="members"),
    path("projects/<slug:slug>/members/<int:pk>/remove/", members.remove, name="member-remove"),
    path("projects/<slug:slug>/quality/", quality.quality, name="quality"),
    path("projects/<slug:slug>/review/", review.review, name="review"),
    path("projects/<slug:slug>/review/<uuid:batch>/undo/", review.undo, name="review-undo"),
    path("projects/<slug:slug>/audit/", audit.log, name="audit"),
    path("projects/<slug:slug>/leaderboard/", quality.leaderboard, name="leaderboard"),
    path("assignments/<int:pk>/", work.assignment, name="assignment"),
    path("assignments/<int:pk>/submit/", work.submit, name="assignment-submit"),
    path("assignments/<int:pk>/skip/", work.skip, name="assignment-skip"),
    path("assignments/<int:pk>/draft/", work.draft, name="assignment-draft"),
    path("assignments/<int:pk>/heartbeat/", work.heartbeat, name="assignment-heartbeat"),
]
