"""Work without a network: the service worker, the page it shows when it has no other, and whose pages it may keep."""

import hashlib
import json
from collections.abc import Callable
from functools import cache

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from labeling.templatetags.work import static_if_there

PERSON = "Podium-Person"
NOBODY = "nobody"
FRAME_FILES = (
    "css/base.css", "css/frame.css", "css/work.css", "css/writing.css", "js/frame.js", "js/scrollers.js",
    "img/podium.svg", "vendor/sortablejs/sortable.esm.js", "django_htmx/htmx-2.min.js",
)  # fmt: skip


@login_not_required
@require_GET
def service_worker(request: HttpRequest) -> HttpResponse:
    """Served from the root, so that its scope is the whole site. Browsers take it in anew when its text changes."""
    told = {
        "files": _files(),
        "version": _version(),
        "prefix": settings.STATIC_URL,
        "offline": reverse("offline"),
        "logout": reverse("account_logout"),
    }
    script = static("js/offline/worker.js")
    text = f"self.PODIUM = {json.dumps(told)};\nimportScripts({json.dumps(script)});\n"
    return HttpResponse(text, content_type="text/javascript", headers={"Cache-Control": "no-cache"})


@never_cache
@login_not_required
@require_GET
def offline(request: HttpRequest) -> HttpResponse:
    """What a reload shows when no copy of the page is here. It holds nothing about anybody."""
    return HttpResponse(render_to_string("work/offline.html"))


def name_the_person(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Each page says for whom it was made; the service worker then forgets the copies of everybody else."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.get("Content-Type", "").startswith("text/html") and hasattr(request, "user"):
            response[PERSON] = str(request.user.uid) if request.user.is_authenticated else NOBODY
        return response

    return middleware


@cache
def _files() -> list[str]:
    """Addresses of what the work pages load, hashed where names are."""
    scripts = sorted((settings.BASE_DIR / "static/js").glob("work/*.js")) + sorted(
        (settings.BASE_DIR / "static/js").glob("offline/*.js")
    )
    names = [*FRAME_FILES, *(f"js/{path.parent.name}/{path.name}" for path in scripts)]
    return [address for name in names if (address := static_if_there(name))]


@cache
def _version() -> str:
    return hashlib.sha256("\n".join(_files()).encode()).hexdigest()[:12]
