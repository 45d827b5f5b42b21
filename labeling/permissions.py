"""Who may do what."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Final, ParamSpec

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase

from labeling.models import Membership, Project, Role, User
from labeling.models.statements import Statement, columns, made

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


_PLACE: Final = Statement(
    "place",
    f"""
SELECT {columns(Project, "p")}, m.role
  FROM labeling_project p
  LEFT JOIN labeling_membership m ON m.project_id = p.id AND m.user_id = %(user)s AND m.is_active
 WHERE p.slug = %(slug)s AND (m.id IS NOT NULL OR %(sees_all)s)
""",  # noqa: S608  # names of ours
    user="bigint",
    slug="text",
    sees_all="boolean",
)


def place(slug: str, user: User) -> tuple[Project, Role]:
    """The project of an address and the person's role there; 404 if they have none, so that nobody learns it exists."""
    row = _PLACE.first(user=user.pk, slug=slug, sees_all=user.is_superuser)
    if row is None:
        raise Http404
    return made(Project, row), Role.MANAGER if user.is_superuser else Role(row[-1])


_PERSON: Final = Statement(
    "person",
    f"SELECT {columns(User, 'u')} FROM labeling_user u WHERE u.id = %(user)s",  # noqa: S608  # names of ours
    user="bigint",
)


class Backend(AuthenticationBackend):  # type: ignore[misc]
    """allauth's, with the person of a session read by a prepared statement: every request asks."""

    def get_user(self, user_id: int) -> User | None:
        row = _PERSON.first(user=user_id)
        person = made(User, row) if row else None
        return person if person and self.user_can_authenticate(person) else None


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
    """Where the person was last: home leads back there. Written only when it changes.

    What a script fetches is no visit. Its answer may come after somebody else has logged in at this browser, and a
    session that changed brings its cookie along: theirs would be overwritten.
    """
    is_visit = request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
    if is_visit and request.session.get("project") != request.project.slug:
        request.session["project"] = request.project.slug


class InviteOnlyAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Nobody signs up by themselves: people come by invitation link."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
