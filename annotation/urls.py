from __future__ import annotations

from django.urls import path

from annotation.views import audit, data, held, home, members, mine, preferences, quality, review, tokens, work

urlpatterns = [
    path("", home.home, name="home"),
    path("preferences/theme/", home.theme, name="theme"),
    path("preferences/keys/", preferences.keys, name="keys"),
    path("account/tokens/", tokens.tokens, name="tokens"),
    path("account/tokens/<int:pk>/revoke/", tokens.revoke, name="token-revoke"),
    path("projects/<slug:slug>/", home.project, name="project"),
    path("projects/<slug:slug>/work/", work.work, name="work"),
    path("projects/<slug:slug>/harmful/", preferences.harmful, name="harmful"),
    path("projects/<slug:slug>/held/", held.held, name="held"),
    path("projects/<slug:slug>/held/<int:pk>/allow/", held.allow_output, name="held-allow"),
    path("projects/<slug:slug>/mine/", mine.mine, name="mine"),
    path("projects/<slug:slug>/mine/timesheet.csv", mine.timesheet, name="timesheet"),
    path("projects/<slug:slug>/terms/", mine.agree, name="terms"),
    path("projects/<slug:slug>/appeals/", mine.waiting_appeals, name="appeals"),
    path("projects/<slug:slug>/appeals/<int:pk>/answer/", mine.answer_appeal, name="appeal-answer"),
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
    path("assignments/<int:pk>/edit/", work.edit, name="assignment-edit"),
    path("assignments/<int:pk>/appeal/", mine.appeal, name="assignment-appeal"),
    path("assignments/<int:pk>/improve/", work.improve, name="assignment-improve"),
    path("assignments/<int:pk>/skip/", work.skip, name="assignment-skip"),
    path("assignments/<int:pk>/skip/undo/", work.undo_skip, name="assignment-undo-skip"),
    path("assignments/<int:pk>/next/", work.following, name="assignment-next"),
    path("assignments/<int:pk>/draft/", work.draft, name="assignment-draft"),
    path("assignments/<int:pk>/preview/", work.preview, name="assignment-preview"),
    path("assignments/<int:pk>/heartbeat/", work.heartbeat, name="assignment-heartbeat"),
]
