"""Who may do what."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from allauth.account.adapter import DefaultAccountAdapter
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase

from labeling.models import Membership, Project, Role, User

P = ParamSpec("P")
RANK = {Role.LABELER: 1, Role.REVIEWER: 2, Role.MANAGER: 3}


class ProjectRequest(HttpRequest):
    """A request that has passed `member`: its project, the person, and the role they have there."""

    project: Project
    user: User
    role: Role


def role_in(project: Project, user: User) -> Role | None:
    """The person's role in the project, or None. A superuser manages every project."""
    if user.is_superuser:
        return Role.MANAGER
    membership = Membership.objects.filter(project=project, user=user, is_active=True).first()
    return Role(membership.role) if membership else None


# Asked by every request. Written out, because having it composed takes longer than having it answered.
_PLACE = """
SELECT p.*, m.role AS role_here
  FROM labeling_project p
  LEFT JOIN labeling_membership m ON m.project_id = p.id AND m.user_id = %(user)s AND m.is_active
 WHERE p.slug = %(slug)s AND (m.id IS NOT NULL OR %(sees_all)s)
"""


def place(slug: str, user: User) -> tuple[Project, Role]:
    """The project of an address and the person's role there; 404 if they have none, so that nobody learns it exists."""
    values = {"slug": slug, "user": user.pk, "sees_all": user.is_superuser}
    for project in Project.objects.raw(_PLACE, values):
        return project, Role.MANAGER if user.is_superuser else Role(vars(project)["role_here"])
    raise Http404


ProjectView = Callable[Concatenate[ProjectRequest, P], HttpResponseBase]


def member(least: Role) -> Callable[[ProjectView[P]], Callable[..., HttpResponseBase]]:
    """Let in members of the project in the address (`slug`) who have at least this role.

    Others get 404, so that nobody learns which projects exist; members with a lesser role get 403.
    """

    def decorate(view: ProjectView[P]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: ProjectRequest, slug: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            request.project, request.role = place(slug, request.user)
            if RANK[request.role] < RANK[least]:
                raise PermissionDenied
            _remember(request)
            return view(request, *args, **kwargs)

        guarded.least_role = least  # type: ignore[attr-defined]  # read by the test that crawls every address
        return guarded

    return decorate


def _remember(request: ProjectRequest) -> None:
    """Where the person was last: home leads back there. Written only when it changes."""
    if request.session.get("project") != request.project.slug:
        request.session["project"] = request.project.slug


class InviteOnlyAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Nobody signs up by themselves: people come by invitation link."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
