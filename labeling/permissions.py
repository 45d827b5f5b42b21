"""Who may do what."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from allauth.account.adapter import DefaultAccountAdapter
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404

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


ProjectView = Callable[Concatenate[ProjectRequest, P], HttpResponseBase]


def member(least: Role) -> Callable[[ProjectView[P]], Callable[..., HttpResponseBase]]:
    """Let in members of the project in the address (`slug`) who have at least this role.

    Others get 404, so that nobody learns which projects exist; members with a lesser role get 403.
    """

    def decorate(view: ProjectView[P]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: ProjectRequest, slug: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            request.project = get_object_or_404(Project.objects.visible_to(request.user).distinct(), slug=slug)
            role = role_in(request.project, request.user)
            if role is None or RANK[role] < RANK[least]:
                raise PermissionDenied
            request.role = role
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
