"""What every page's frame needs: the colours, the project, and the links that this person may open."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, resolve, reverse

from labeling.models import Project, Role
from labeling.permissions import RANK, role_in

THEMES = ("light", "dark")
OWN_PAGES = ("/me/", "/accounts/")
# (key of the station, what it is called, name of its URL); the flow in its direction.
FLOW = [
    ("prompts", "Prompts", "prompts"),
    ("tasks", "Tasks", "tasks"),
    ("rankings", "Rankings", "rankings"),
    ("quality", "Quality", "quality"),
    ("data", "Data", "snapshots"),
    ("runs", "Runs", "runs"),
    ("models", "Models", "models"),
    ("rounds", "Rounds", "rounds"),
    ("people", "People", "people"),
]
LABELING = [
    ("work", "Work", "work"),
    ("history", "History", "history"),
    ("reviews", "Review", "reviews"),
    ("guidelines", "Guidelines", "guidelines"),
]
# A reviewer's way to what managers reach from Rankings.
REVIEWING = [("rankings", "Agreement", "agreement")]
PROJECT = [
    ("dashboard", "Dashboard", "dashboard"),
    ("progress", "Progress", "progress"),
    ("report", "Report", "report"),
    ("playground", "Playground", "playground"),
    ("guidelines", "Guidelines", "guidelines"),
    ("settings", "Settings", "project_settings"),
]


@dataclass(frozen=True)
class Link:
    key: str
    label: str
    url: str


def frame(request: HttpRequest) -> dict[str, Any]:
    """Everything that asks the database is a callable: a page without a top bar asks nothing."""
    project, role = _place(request)
    theme = request.COOKIES.get("theme", "")
    return {
        "theme": theme if theme in THEMES else "",
        "csp_nonce": getattr(request, "csp_nonce", ""),
        "project": project,
        "role": role,
        "is_manager": role == Role.MANAGER,
        "navigation": cache(lambda: _navigation(project, role)),
        "project_links": cache(lambda: _links(PROJECT, project, role)),
        "own_links": cache(lambda: _own_links(project, role)),
        "switcher": cache(lambda: list(Project.objects.visible_to(request.user).distinct()[:30])),  # type: ignore[arg-type]
    }


def _place(request: HttpRequest) -> tuple[Project | None, Role | None]:
    """The project of the address. Pages about oneself keep the navigation of the project one was in last."""
    if hasattr(request, "project"):
        return request.project, getattr(request, "role", None)
    if not request.path.startswith(OWN_PAGES) or not request.user.is_authenticated:
        return None, None
    visible = Project.objects.visible_to(request.user).distinct()
    project = visible.filter(slug=request.session.get("project", "")).first()
    return project, role_in(project, request.user) if project else None


def _navigation(project: Project | None, role: Role | None) -> list[Link]:
    """The flow for managers; for others their own pages, then what of the flow their role opens."""
    if role == Role.MANAGER:
        return _links(FLOW, project, role)
    links = [*LABELING, *FLOW, *REVIEWING]
    return [*_links(links, project, role), Link("me", "Me", reverse("me"))]


def _own_links(project: Project | None, role: Role | None) -> list[Link]:
    label = [("work", "Label", "work"), ("history", "My history", "history")] if role == Role.MANAGER else []
    return [Link("me", "Me", reverse("me")), *_links(label, project, role), Link("", "Projects", reverse("projects"))]


def _links(stations: list[tuple[str, str, str]], project: Project | None, role: Role | None) -> list[Link]:
    if project is None or role is None:
        return []
    found = ((key, label, _address(name, project)) for key, label, name in stations)
    return [Link(key, label, url) for key, label, url in found if url and _opens(url, role)]


def _address(name: str, project: Project) -> str | None:
    try:
        return reverse(name, args=[project.slug])
    except NoReverseMatch:
        return None


def _opens(url: str, role: Role) -> bool:
    """Whether the page behind the address lets this role in; the decorator `member` says so."""
    least = getattr(resolve(url).func, "least_role", Role.MANAGER)
    return RANK[role] >= RANK[least]
