from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.apps import apps
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from annotation.audiences import Anyone, Audience, SignedIn, Staff
from config import health, metrics

# One door for everybody, with its limits and its log.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

handler400 = "config.errors.bad_request"
handler404 = "config.errors.not_found"
handler500 = "config.errors.server_error"

urlpatterns = [
    path("", include("annotation.urls")),
    path("health/", health.health, name="health"),
    path("ready/", health.readiness, name="readiness"),
    path("metrics/", metrics.Metrics.as_view(), name="metrics"),
    path("account/", include("allauth.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("annotation.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="api-docs"),
]

if apps.is_installed("training"):  # collecting works without it
    urlpatterns += [path("", include("training.urls")), path("api/v1/", include("training.api.urls"))]

# Whom the views are for that others wrote: by name, or by the beginning of the address. They see to it themselves.
AUDIENCES: dict[str, Audience] = {
    "admin/login/": SignedIn(),  # everybody else is sent to ours
    "admin/logout/": Anyone(),
    "admin/": Staff(),
    "i18n/setlang/": Anyone(),
    "api/": SignedIn(),
    "account/login/code/": SignedIn(),  # no codes are sent
    "account/login/": Anyone(),
    "account/signup/": Anyone(),
    "account/inactive/": Anyone(),
    "account/confirm-email/": Anyone(),
    "account/^confirm-email/": Anyone(),
    "account/password/reset/": Anyone(),
    "account/^password/reset/": Anyone(),
    "account/": SignedIn(),
}
