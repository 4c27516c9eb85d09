"""Every setting of Plumbline, in one file. What is not given in the environment has a safe default for one machine.

With no DATABASE_URL and no CELERY_BROKER_URL the services are the embedded ones (config/embedded), in the data folder.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from config.embedded import broker, postgres
from config.env import env_bool, env_int, env_list, env_money, env_networks, env_str, kept_secret

BASE_DIR = Path(__file__).resolve().parent.parent
DATA = Path(env_str("PLUMBLINE_DATA", str(BASE_DIR / "var"))).resolve()
DEBUG = env_bool("DEBUG", default=False)
DATABASE_URL = env_str("DATABASE_URL")
EMBEDDED = not DATABASE_URL
PUBLIC_HTTPS = env_bool("PUBLIC_HTTPS", default=not EMBEDDED)

# ── Secrets and hosts ────────────────────────────────────────────────────────────────────────────────────────────────

SECRET_KEY = env_str("SECRET_KEY")
if not SECRET_KEY:
    if not EMBEDDED:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set, but DATABASE_URL is: a shared installation needs its own secret. "
            "Set SECRET_KEY to a long random text (python -c 'import secrets; print(secrets.token_urlsafe(50))')."
        )
    SECRET_KEY = kept_secret(DATA / "secret_key", secrets.token_urlsafe(50))

SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS", [])  # earlier ones, while they are replaced
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS", [])

SESSION_ENGINE = "annotation.sessions"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = PUBLIC_HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_REDIRECT_EXEMPT = [r"^health/$", r"^ready/$"]  # asked for from beside the server, without HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if PUBLIC_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PUBLIC_HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
BEHIND_PROXY = env_bool("BEHIND_PROXY", default=False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
ALLAUTH_TRUSTED_PROXY_COUNT = int(BEHIND_PROXY)  # or all visitors would share the proxy's limit of sign-ins
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# ── Applications ─────────────────────────────────────────────────────────────────────────────────────────────────────

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "template_partials",
    "annotation",
    "training",
    "config.apps.ConfigConfig",
]

MIDDLEWARE = [
    "config.requests.watched",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "config.errors.refuse_too_much",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "annotation.second_factor.required",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    },
]

# ── Database and cache ───────────────────────────────────────────────────────────────────────────────────────────────

DATABASES: dict[str, Any] = {
    "default": dj_database_url.parse(DATABASE_URL) if DATABASE_URL else postgres.connection_settings(DATA),
}
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if env_bool("PREPARED_STATEMENTS", default=True):  # else none is ever (annotation.prepared)
    planned_once = {"prepare_threshold": 5, "options": "-c plan_cache_mode=force_generic_plan"}
    DATABASES["default"]["OPTIONS"] = planned_once | DATABASES["default"].get("OPTIONS", {})
CACHES: dict[str, Any] = {"default": {"BACKEND": "config.cache.Table"}}  # what limits sign-ins and requests, for all
if env_str("CELERY_BROKER_URL").startswith(("redis://", "rediss://")):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": env_str("CELERY_BROKER_URL"),
            "KEY_PREFIX": "plumbline",
            "OPTIONS": {"serializer": "config.cache.Json"},
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ── Celery ───────────────────────────────────────────────────────────────────────────────────────────────────────────

CELERY_BROKER_URL = env_str("CELERY_BROKER_URL", broker.URL)
if CELERY_BROKER_URL == broker.URL:
    CELERY_BROKER_TRANSPORT_OPTIONS = broker.transport_options(DATA / "broker")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {"training.tasks.execute_run": {"queue": "training"}}
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA / "run" / "beat-schedule")
SWEEP_SECONDS = env_int("SWEEP_SECONDS", 15, low=1)  # between two looks for what a lost message or dead worker left
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "training.tasks.sweep", "schedule": 1.0 * SWEEP_SECONDS},
    "release-expired-leases": {"task": "annotation.tasks.release_expired_leases", "schedule": 2.0 * SWEEP_SECONDS},
    "sweep-uploads": {"task": "annotation.tasks.sweep_uploads", "schedule": 1.0 * SWEEP_SECONDS},
    "sweep-reports": {"task": "annotation.tasks.sweep_reports", "schedule": 4.0 * SWEEP_SECONDS},
}
CELERY_TIMEZONE = "UTC"

# ── People ───────────────────────────────────────────────────────────────────────────────────────────────────────────

AUTH_USER_MODEL = "annotation.User"
AUTHENTICATION_BACKENDS = [
    "annotation.sessions.Accounts",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_ADAPTER = "annotation.accounts.InvitedOnly"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"  # nobody is written to: addresses are not asked for
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/300s/key"}  # an address, a name
MFA_ADAPTER = "annotation.second_factor.Encrypted"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Plumbline"
MFA_TOTP_TOLERANCE = 1  # half a minute that clocks may be off, either way
REQUIRE_MFA = env_list("REQUIRE_MFA", [])  # the roles that must have a second factor
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"

# ── API ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "annotation.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["annotation.api.parsing.Json", "rest_framework.parsers.MultiPartParser"],
    "DEFAULT_SCHEMA_CLASS": "annotation.api.schema.Schema",
    "DEFAULT_PAGINATION_CLASS": "annotation.api.paging.Pages",
    "PAGE_SIZE": 50,
    "DEFAULT_THROTTLE_CLASSES": ["annotation.api.limiting.Everyone"],
    "EXCEPTION_HANDLER": "annotation.api.limiting.answered",
}
API_REQUESTS_PER_MINUTE = env_int("API_REQUESTS_PER_MINUTE", 6_000)  # of a token, or of a person; 0: any number
API_STRANGERS_PER_MINUTE = env_int("API_STRANGERS_PER_MINUTE", 60)  # of an address that does not sign in
SPECTACULAR_SETTINGS = {
    "TITLE": "Plumbline",
    "DESCRIPTION": "Collect instructions, demonstrations and rankings; train on them; rank what the new model says.",
    "VERSION": "0.1.0",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ItemKind": "annotation.models.ItemKind",
        "Role": "annotation.models.Role",
        "Scope": "annotation.models.Scope",
        "ReviewState": "annotation.models.ReviewState",
        "PromptKind": "annotation.models.PromptKind",
        "AssignmentState": "annotation.models.AssignmentState",
        "UseCase": "annotation.models.UseCase",
        "OutputState": "training.models.OutputState",
        "RequestState": "training.models.RequestState",
        "RunState": "training.models.RunState",
        "RoundState": "training.models.RoundState",
        "Stage": "training.models.runs.Stage",
        "RoundStage": "training.models.rounds.RoundStage",
    },
}

# ── Training ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TRAINING_DEVICES = env_list("TRAINING_DEVICES", [])  # of this worker's machine: one run at a time on each
TRAINING_MACHINE = env_str("TRAINING_MACHINE")  # the same for all workers that share devices; empty: the host's name
COMPUTE_RATE = env_money("COMPUTE_RATE")  # what an hour of a worker costs, for the estimates of rounds
PLAYGROUND_MODELS = env_int("PLAYGROUND_MODELS", 5)  # served at once; 0 switches the playground off
PLAYGROUND_IDLE_SECONDS = env_int("PLAYGROUND_IDLE_SECONDS", 600)  # until a model that nobody asks is put away
PLAYGROUND_STREAMS = env_int("PLAYGROUND_STREAMS", 4)  # answers at once: each holds a thread of the web

# ── External models ──────────────────────────────────────────────────────────────────────────────────────────────────

ENDPOINT_NETWORKS = env_networks("ENDPOINT_NETWORKS")  # where they may be though the addresses are not public
ENDPOINT_SECRETS = env_list("ENDPOINT_SECRETS", [])  # encrypt their keys: the first; all decrypt. Else a file keeps one

# ── Languages, files, logs ───────────────────────────────────────────────────────────────────────────────────────────

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = Path(env_str("STATIC_ROOT", str(DATA / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
if DEBUG:
    STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"

DATA_UPLOAD_MAX_MEMORY_SIZE = env_int("MAX_BODY_MB", 64) * 1024 * 1024  # but for files
MAX_UPLOAD_SIZE = env_int("MAX_UPLOAD_MB", 2_048) * 1024 * 1024  # with its file, which goes to the disk
DATA_UPLOAD_MAX_NUMBER_FILES = 4

LOG_FORMAT = env_str("LOG_FORMAT", "line")
if LOG_FORMAT not in ("line", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT is {LOG_FORMAT!r}; expected line or json.")
LOG_REQUESTS = env_bool("LOG_REQUESTS", default=LOG_FORMAT == "json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "annotation.logs.Line",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        },
        "json": {"()": "annotation.logs.JsonLines"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "loggers": {"httpx": {"level": "WARNING"}},
    "root": {"handlers": ["console"], "level": env_str("LOG_LEVEL", "INFO")},
}
