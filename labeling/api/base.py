"""What every view of the labeling API shares: the project, the role, the limit, and how errors read."""

import uuid
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, ClassVar, Final, TypeVar

from django.core.cache import caches
from django.http import Http404, HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from labeling.models import Project, Role, Task, User
from labeling.models.statements import Statement, columns, made
from labeling.permissions import RANK, place
from labeling.services.answers import AnswerError
from labeling.services.assignments import AssignmentError
from labeling.services.demonstrations import AlreadyWritten
from labeling.services.drafts import DraftError
from labeling.services.rankings import AlreadyRanked
from labeling.services.submissions import AlreadySubmitted

TASK: Final = Statement(
    "task_of_address",
    f"""
SELECT {columns(Task, "t")} FROM labeling_task t
 WHERE t.project_id = %(project)s AND t.uid = %(uid)s AND NOT t.is_imported
""",  # noqa: S608  # names of ours
    project="bigint",
    uid="uuid",
)
F = TypeVar("F", bound=Callable[..., Any])


def describe(**about: Any) -> Callable[[F], F]:
    """drf-spectacular's `extend_schema`, whose types are not followed, with the type of what it decorates."""
    decorate: Callable[[F], F] = extend_schema(**about)
    return decorate


@cache
def kept(kind: type[Serializer[Any]]) -> Serializer[Any]:
    """One serializer of a kind for all requests: reading and writing leave nothing behind in it, and making one copies
    each of its fields, which takes longer than their work."""
    return kind()


def written(kind: type[Serializer[Any]], value: Any) -> dict[str, Any]:
    return dict(kept(kind).to_representation(value))


class OnlyJson(DefaultContentNegotiation):
    """There is one form to answer in: nothing to weigh up."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


class LabelingThrottle(UserRateThrottle):
    """Far above what hands can do (a draft per second, a submit per 20 s), far below what hurts.

    Each web process counts for itself: it is a fuse, and asking the broker twice per request cost more than the rest.
    """

    cache = caches["process"]
    scope = "labeling"
    rate = "900/min"


class SomebodyElseError(PermissionDenied):
    """The page was made for one person and another is logged in by now: what the one gave is not the other's."""

    default_detail = "Somebody else is logged in here now. What you gave is kept until you log in again."


class LabelingView(APIView):
    """A view inside a project (`slug`), for its labelers and above. Strangers get 404."""

    least_role: ClassVar[Role] = Role.LABELER
    throttle_classes = (LabelingThrottle,)
    content_negotiation_class = OnlyJson
    project: Project
    labeler: User

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:  # type: ignore[override]
        view = super().as_view(**initkwargs)
        view.least_role = cls.least_role  # type: ignore[attr-defined]  # read by the test that crawls every address
        return view

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        assert isinstance(request.user, User)  # noqa: S101  # IsAuthenticated has let them in
        self.labeler = request.user
        self.project, role = place(kwargs["slug"], self.labeler)
        if RANK[role] < RANK[self.least_role]:
            raise PermissionDenied
        if request.headers.get("Podium-Person", str(self.labeler.uid)) != str(self.labeler.uid):
            raise SomebodyElseError

    def task(self, uid: uuid.UUID) -> Task:
        """Its prompt and brief are read by those kinds of answer that need them."""
        row = TASK.first(project=self.project.pk, uid=uid)
        if row is None:
            raise Http404
        task = made(Task, row)
        task.project = self.project
        return task

    def read(self, kind: type[Serializer[Any]]) -> dict[str, Any]:
        """What came in, checked."""
        return dict(kept(kind).run_validation(self.request.data))

    def handle_exception(self, exc: Exception) -> Response:
        """Services speak of places; the API passes on what they say."""
        if isinstance(exc, AnswerError):
            return Response({"detail": str(exc), "errors": exc.errors}, status.HTTP_422_UNPROCESSABLE_ENTITY)
        if isinstance(exc, AlreadyRanked | AlreadyWritten | AlreadySubmitted):
            return Response({"detail": str(exc)}, status.HTTP_409_CONFLICT)
        if isinstance(exc, AssignmentError | DraftError):
            return Response({"detail": str(exc)}, status.HTTP_422_UNPROCESSABLE_ENTITY)
        if isinstance(exc, SomebodyElseError):
            return Response({"detail": str(exc.detail), "is_other_person": True}, status.HTTP_403_FORBIDDEN)
        return super().handle_exception(exc)
