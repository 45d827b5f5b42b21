"""The labeling API: next, draft, submit, skip, release, renew, revise, preview."""

import uuid
from collections.abc import Callable
from typing import Any, Final

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from labeling.api import serializers as s
from labeling.api.base import LabelingView, describe, written
from labeling.models import Demonstration, PromptAnnotation, Ranking, Slot, Task, WrittenPrompt
from labeling.services import annotations, assignments, demonstrations, drafts, rankings, rendering, sheets, writing
from labeling.services.annotations import Annotation
from labeling.services.writing import Writing

Judgement = Ranking | Demonstration | WrittenPrompt | PromptAnnotation

ANSWER = PolymorphicProxySerializer(
    component_name="Answer",
    serializers=[
        s.RankingAnswerSerializer,
        s.DemonstrationAnswerSerializer,
        s.WrittenPromptSerializer,
        s.AnnotationAnswerSerializer,
    ],
    resource_type_field_name=None,
)
ANSWER_TO: Final[dict[str, type[Serializer[Any]]]] = {
    Task.Kind.RANK: s.RankingAnswerSerializer,
    Task.Kind.COMPARE: s.RankingAnswerSerializer,
    Task.Kind.DEMONSTRATE: s.DemonstrationAnswerSerializer,
    Task.Kind.WRITE_PROMPT: s.WrittenPromptSerializer,
    Task.Kind.ANNOTATE: s.AnnotationAnswerSerializer,
}
ERRORS = {409: s.ErrorSerializer, 422: s.ErrorSerializer}


class NextView(LabelingView):
    @describe(request=s.NextSerializer, responses=s.NextResponseSerializer, summary="The next task, held for you")
    def post(self, request: Request, slug: str) -> Response:
        return Response(_next(self, self.read(s.NextSerializer)))


class DraftView(LabelingView):
    @describe(responses=s.DraftSerializer, summary="What you have not sent yet")
    def get(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        draft = drafts.load(task=self.task(uid), labeler=self.labeler)
        return Response(written(s.DraftSerializer, draft or {"payload": {}, "version": 0, "saved_at": None}))

    @describe(
        request=s.DraftSerializer,
        responses={200: s.DraftSavedSerializer, **ERRORS},
        summary="Keep what is not sent yet",
    )
    def put(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        data = self.read(s.DraftSerializer)
        task = self.task(uid)
        is_saved = drafts.save(task=task, labeler=self.labeler, payload=data["payload"], version=data["version"])
        kept = drafts.load(task=task, labeler=self.labeler)
        assert kept is not None  # noqa: S101  # saved just now, or a newer one is there
        answer = {"is_saved": is_saved, "version": kept.version, "saved_at": kept.saved_at}
        return Response(written(s.DraftSavedSerializer, answer))


class SubmitView(LabelingView):
    @describe(request=ANSWER, responses={201: s.SubmittedSerializer, **ERRORS}, summary="Send a ranking or an answer")
    def post(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        task = self.task(uid)
        take_in: dict[str, Callable[[Task, dict[str, Any]], Judgement]] = {
            Task.Kind.RANK: self._rank,
            Task.Kind.COMPARE: self._rank,
            Task.Kind.DEMONSTRATE: self._demonstrate,
            Task.Kind.WRITE_PROMPT: self._write_prompt,
            Task.Kind.ANNOTATE: self._annotate,
        }
        data = self.read(ANSWER_TO[task.kind])
        wanted = data.pop("next")
        judgement = take_in[task.kind](task, data)
        # The answer is in for good; what comes next is another matter, in a transaction of its own.
        return _submitted(judgement, _next(self, wanted) if wanted else None)

    def _rank(self, task: Task, data: dict[str, Any]) -> Ranking:
        key, answer = data.pop("idempotency_key"), s.to_answer(data, task)
        return rankings.submit(task=task, labeler=self.labeler, idempotency_key=key, answer=answer)

    def _demonstrate(self, task: Task, data: dict[str, Any]) -> Demonstration:
        return demonstrations.submit(task=task, labeler=self.labeler, **data)

    def _write_prompt(self, task: Task, data: dict[str, Any]) -> WrittenPrompt:
        key = data.pop("idempotency_key")
        return writing.submit(task=task, labeler=self.labeler, idempotency_key=key, writing=Writing(**data))

    def _annotate(self, task: Task, data: dict[str, Any]) -> PromptAnnotation:
        key = data.pop("idempotency_key")
        return annotations.submit(task=task, labeler=self.labeler, idempotency_key=key, annotation=Annotation(**data))


class ReviseView(LabelingView):
    @describe(
        request=s.RankingAnswerSerializer,
        responses={201: s.SubmittedSerializer, **ERRORS},
        summary="Change one of your last rankings; the old revision is kept",
    )
    def post(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        mine = Ranking.objects.filter(task__project=self.project, labeler=self.labeler)
        ranking = get_object_or_404(mine.select_related("task", "task__project"), uid=uid)
        data = self.read(s.RankingAnswerSerializer)
        wanted = data.pop("next")
        key, answer = data.pop("idempotency_key"), s.to_answer(data, ranking.task)
        revised = rankings.revise(ranking=ranking, labeler=self.labeler, idempotency_key=key, answer=answer)
        return _submitted(revised, _next(self, wanted) if wanted else None)


class SkipView(LabelingView):
    @describe(request=s.SkipSerializer, responses={200: s.SkipSerializer, **ERRORS}, summary="Skip, and say why")
    def post(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        data = self.read(s.SkipSerializer)
        skip = assignments.skip(task=self.task(uid), labeler=self.labeler, **data)
        return Response(written(s.SkipSerializer, skip))


class ReleaseView(LabelingView):
    @describe(request=None, responses=s.ReleasedSerializer, summary="Give the task back")
    def post(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        return Response({"is_released": assignments.release(task=self.task(uid), labeler=self.labeler)})


class RenewView(LabelingView):
    @describe(request=None, responses=s.LeaseSerializer, summary="Hold the task for another lease")
    def post(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        lease_until = assignments.renew(task=self.task(uid), labeler=self.labeler)
        return Response(written(s.LeaseSerializer, {"lease_until": lease_until}))


class PreviewView(LabelingView):
    @describe(request=s.PreviewSerializer, responses=s.PreviewedSerializer, summary="Markdown as labelers see it")
    def post(self, request: Request, slug: str) -> Response:
        text = self.read(s.PreviewSerializer)["text"]
        return Response({"html": rendering.to_html(text)})


class HintsView(LabelingView):
    @describe(request=s.WritingSerializer, responses=s.HintsSerializer, summary="What to look at in a prompt you write")
    def post(self, request: Request, slug: str) -> Response:
        data = self.read(s.WritingSerializer)
        return Response({"hints": writing.hints(project=self.project, writing=Writing(**data))})


def _next(view: LabelingView, wanted: dict[str, Any]) -> dict[str, Any]:
    """The next task, or all that is held: what NextResponseSerializer describes, ready to go out."""
    uids = wanted["besides"]
    besides = list(Task.objects.filter(project=view.project, uid__in=uids)) if uids else []
    # In the order that work is served, whatever order was asked in.
    kinds = [kind for kind in assignments.SERVED_KINDS if kind in (wanted.get("kinds") or assignments.SERVED_KINDS)]
    if wanted["ahead"]:
        slots = assignments.claim_ahead(project=view.project, labeler=view.labeler, kinds=kinds, besides=besides)
        return NOTHING_SAID | {"held": [_handed_out(slot) for slot in slots]}
    found = assignments.claim(project=view.project, labeler=view.labeler, kinds=kinds, besides=besides)
    if isinstance(found, assignments.Nothing):
        return NOTHING_SAID | {"nothing": written(s.NothingSerializer, found)}
    sheet = s.write_sheet(sheets.lay_out(task=found.task, labeler=view.labeler)) if wanted["with_sheet"] else None
    return NOTHING_SAID | _handed_out(found) | {"sheet": sheet}


NOTHING_SAID: Final = dict.fromkeys(("sheet", "task", "url", "lease_until", "nothing", "held"))


def _handed_out(slot: Slot) -> dict[str, Any]:
    return {
        "task": str(slot.task.uid),
        "url": reverse("work_task", args=[slot.task.project.slug, slot.task.uid]),
        "lease_until": slot.lease_until,
    }


def _submitted(judgement: Judgement, next_one: dict[str, Any] | None) -> Response:
    """What SubmittedSerializer describes."""
    answer = {
        "uid": str(judgement.uid),
        "revision": judgement.revision,
        "is_surplus": judgement.slot_id is None,
        "next": next_one,
    }
    return Response(answer, status.HTTP_201_CREATED)
