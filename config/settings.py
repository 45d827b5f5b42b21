"""One settings file; the environment decides. Every variable is described in docs/settings.md."""

import os
import secrets
import sys
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config.files import Place

django_stubs_ext.monkeypatch()  # generic forms and views can be subscripted, as the type checker wants

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

IS_PRODUCTION = env.str("PODIUM_ENV", "local") == "production"
IS_WORKER = env.str("PODIUM_ENV", "local") == "worker"  # a machine that trains and shows no pages
TESTING = "pytest" in sys.modules
DEBUG = env.bool("PODIUM_DEBUG", False) and not IS_PRODUCTION
PODIUM_HOME = Path(env.str("PODIUM_HOME", str(BASE_DIR / ".podium"))).resolve()


def _secret_key() -> str:
    """The environment's; on a local machine, one generated at first start and kept in a file of mode 0600."""
    if key := env.str("DJANGO_SECRET_KEY", ""):
        return str(key)
    if IS_PRODUCTION:
        raise ImproperlyConfigured("Set DJANGO_SECRET_KEY to a long random text: production has no default.")
    if IS_WORKER:  # it signs nothing that anybody else reads
        return secrets.token_urlsafe(64)
    path = PODIUM_HOME / "secret_key"
    PODIUM_HOME.mkdir(parents=True, exist_ok=True, mode=0o711)  # passable: as root, Postgres is user nobody
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(64))
    except FileExistsError:
        pass
    return path.read_text()


def _required_in_production(name: str, default: str) -> str:
    value = str(env.str(name, ""))
    if not value and (IS_PRODUCTION or IS_WORKER):
        raise ImproperlyConfigured(f"Set {name}: {env.str('PODIUM_ENV')} has no default.")
    return value or default


SECRET_KEY = _secret_key()
# What finds personal data in prompts: "patterns", or "presidio" besides (the extra `pii`).
PERSONAL_DATA = env.str("PODIUM_PERSONAL_DATA", "patterns")
PERSONAL_DATA_MODEL = env.str("PODIUM_PERSONAL_DATA_MODEL", "en_core_web_sm")  # spaCy's, for Presidio
# What tells a language where the script does not: "script" (nothing more), or "lingua" (the extra `languages`).
LANGUAGE_DETECTION = env.str("PODIUM_LANGUAGE_DETECTION", "script")
ALLOWED_HOSTS = env.list("PODIUM_ALLOWED_HOSTS", default=[] if IS_PRODUCTION or IS_WORKER else ["*"])
CSRF_TRUSTED_ORIGINS = env.list("PODIUM_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "config.apps.StaticFiles",
    "django.contrib.humanize",
    "django.forms",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "labeling",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.csp.Middleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",  # deny by default
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "labeling.views.offline.name_the_person",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
FORM_RENDERER = "labeling.forms.look.Renderer"

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
                "labeling.views.context.frame",
            ]
        },
    }
]

# Postgres. Embedded services put their address into the environment (config/embedded.py).
SESSION = {
    "statement_timeout": env.int("PODIUM_STATEMENT_TIMEOUT_MS", 30_000),
    "plan_cache_mode": "force_generic_plan",  # of prepared statements: planned once, not to see whether once is enough
}
DATABASES = {
    "default": {
        **env.db_url_config(_required_in_production("DATABASE_URL", "postgres://podium@127.0.0.1:5432/podium")),
        "ENGINE": "config.postgres",
        "CONN_MAX_AGE": env.int("PODIUM_CONN_MAX_AGE", 300),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"options": " ".join(f"-c {name}={value}" for name, value in SESSION.items())},
    }
}
# Off where a pooler gives each transaction another connection (PgBouncer in transaction mode).
PREPARED_STATEMENTS = env.bool("PODIUM_PREPARED_STATEMENTS", True)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = _required_in_production("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "config.cache.Cache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "podium",
    },
    # What each web process may know for itself, and may forget: nothing here decides anything.
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 20_000}},
}
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"

# Celery is the doorbell: a message holds an id, Postgres holds the truth (docs/runs.md).
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    # kombu sweeps unacknowledged messages every 100 s by default: far too late for jobs of a second.
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {"labeling.jobs.run_stage": {"queue": "gpu"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# An hour: it only keeps a backlog small. Workers judge it by their own clocks, which may be wrong by minutes.
CELERY_BEAT_SCHEDULE = {
    "sweep-runs": {"task": "labeling.jobs.sweep_runs", "schedule": 5.0, "options": {"expires": 3600}},
    "advance-rounds": {"task": "labeling.jobs.advance_rounds", "schedule": 5.0, "options": {"expires": 3600}},
    "advance-evaluations": {"task": "labeling.jobs.advance_evaluations", "schedule": 5.0, "options": {"expires": 3600}},
    "sweep-slots": {"task": "labeling.jobs.sweep_slots", "schedule": 15.0, "options": {"expires": 3600}},
    "sweep-imports": {"task": "labeling.jobs.sweep_imports", "schedule": 15.0, "options": {"expires": 3600}},
    "sweep-looks": {"task": "labeling.jobs.sweep_looks", "schedule": 60.0, "options": {"expires": 3600}},
    "sweep-snapshots": {"task": "labeling.jobs.sweep_snapshots", "schedule": 15.0, "options": {"expires": 3600}},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(PODIUM_HOME / "beat-schedule")

# Runs.
RUNS_DIR = Path(env.str("PODIUM_RUNS_DIR", str(PODIUM_HOME / "runs"))).resolve()  # stages work in there
RUN_LEASE_SECONDS = env.int("PODIUM_RUN_LEASE_SECONDS", 30)
RUN_GRACE_SECONDS = env.int("PODIUM_RUN_GRACE_SECONDS", 60)  # for a last checkpoint, before SIGKILL
# Model folders that managers may import by name lie below this one; workers must see it under the same path.
MODEL_IMPORT_DIR = Path(env.str("PODIUM_MODEL_IMPORT_DIR", str(PODIUM_HOME / "import"))).resolve()
MAX_MODEL_BYTES = env.int("PODIUM_MAX_MODEL_BYTES", 100_000_000_000)
TRAINING_PYTHON = env.str("PODIUM_TRAINING_PYTHON", sys.executable)

# People.
AUTH_USER_MODEL = "labeling.User"
AUTHENTICATION_BACKENDS = ["labeling.permissions.Backend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "labeling.permissions.InviteOnlyAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # mail goes to people who have an account, whatever a visitor types
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_ALLOW_UNVERIFIED_EMAIL = True  # addresses come with invitations and are not verified by mail
USERSESSIONS_TRACK_ACTIVITY = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
if TESTING:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INVITATION_HOURS = 72

# Mail: only for password resets; a machine without a mail server prints it to the log.
EMAIL_CONFIG = env.email_url("PODIUM_EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
DEFAULT_FROM_EMAIL = env.str("PODIUM_FROM_EMAIL", "podium@localhost")

# Files.
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS: list[Any] = [BASE_DIR / "static"]
for _prefix, _folder in (("vendor/uplot", "uplot/dist"), ("vendor/sortablejs", "sortablejs/modular")):
    if (BASE_DIR / "node_modules" / _folder).is_dir():
        STATICFILES_DIRS.append((_prefix, str(BASE_DIR / "node_modules" / _folder)))
WHITENOISE_USE_FINDERS = DEBUG or TESTING
STORAGE_PLACE = Place.read(lambda name: str(env.str(name, "")))
STORAGES: dict[str, dict[str, Any]] = {
    **STORAGE_PLACE.storages(PODIUM_HOME),
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG or TESTING
        else "config.storage.ModuleManifestStorage"
    },
}
FILE_UPLOAD_MAX_MEMORY_SIZE = 2_000_000
DATA_UPLOAD_MAX_MEMORY_SIZE = 5_000_000
MAX_IMPORT_BYTES = env.int("PODIUM_MAX_IMPORT_BYTES", 500_000_000)

# Safety.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
if IS_PRODUCTION:
    SECURE_SSL_REDIRECT = env.bool("PODIUM_SSL_REDIRECT", True)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = env.int("PODIUM_HSTS_SECONDS", 31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Podium",
    "DESCRIPTION": "The labeling floor: next task, draft, submit, skip, release.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],  # its own default is everybody
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

LANGUAGE_CODE = "en"
TIME_ZONE = env.str("PODIUM_TIME_ZONE", "UTC")
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.str("PODIUM_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "WARNING"},
        # Two lines for each of the sweepers' jobs, every five seconds.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}
