"""Where one lands, the colours, and search."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from labeling.models import Project, Role, User
from labeling.permissions import ProjectRequest, member, role_in
from labeling.services import projects
from labeling.views.context import THEMES

YEAR = 31_536_000


class PersonRequest(HttpRequest):
    user: User


@require_GET
def home(request: PersonRequest) -> HttpResponse:
    """The project one was in last, or the only one; else the list."""
    visible = Project.objects.visible_to(request.user).distinct()
    last = visible.filter(slug=request.session.get("project", "")).first()
    if last:
        return redirect(landing(last, request.user))
    some = list(visible[:2])
    return redirect(landing(some[0], request.user)) if len(some) == 1 else redirect("projects")


@require_GET
def enter(request: PersonRequest, slug: str) -> HttpResponse:
    project = get_object_or_404(Project.objects.visible_to(request.user).distinct(), slug=slug)
    return redirect(landing(project, request.user))


def landing(project: Project, user: User) -> str:
    """A manager's first page is the dashboard, a labeler's the next task."""
    role = role_in(project, user)
    for name in ["dashboard", "people"] if role == Role.MANAGER else ["work", "guidelines"]:
        try:
            return reverse(name, args=[project.slug])
        except NoReverseMatch:
            continue
    return reverse("projects")


@login_not_required
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the colours in a cookie, so that the server can write them into the page and nothing flashes."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    response = redirect(target)
    chosen = request.POST.get("theme", "")
    if chosen in THEMES:
        response.set_cookie("theme", chosen, max_age=YEAR, samesite="Lax", secure=request.is_secure())
    else:
        response.delete_cookie("theme")
    return response


@require_GET
@member(Role.MANAGER)
def search(request: ProjectRequest) -> HttpResponseBase:
    text = request.GET.get("q", "").strip()[:200]
    found = projects.search(project=request.project, text=text) if text else {}
    is_dialog = request.headers.get("HX-Request") == "true"
    template = "parts/search_results.html" if is_dialog else "projects/search.html"
    return render(request, template, {"q": text, "found": found, "num_found": sum(len(f) for f in found.values())})
