"""The labeling API: next, draft, submit, skip, release, renew, revise, preview."""

import uuid
from collections.abc import Callable
from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api import serializers as s
from labeling.api.base import LabelingView, describe
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
ERRORS = {409: s.ErrorSerializer, 422: s.ErrorSerializer}


class NextView(LabelingView):
    @describe(request=s.NextSerializer, responses=s.NextResponseSerializer, summary="The next task, held for you")
    def post(self, request: Request, slug: str) -> Response:
        wanted = self.read(s.NextSerializer(data=request.data))
        besides = list(Task.objects.filter(project=self.project, uid__in=wanted["besides"]))
        # In the order that work is served, whatever order was asked in.
        kinds = [kind for kind in assignments.SERVED_KINDS if kind in (wanted.get("kinds") or assignments.SERVED_KINDS)]
        found = assignments.claim(project=self.project, labeler=self.labeler, kinds=kinds, besides=besides)
        if isinstance(found, assignments.Nothing):
            return Response(s.NextResponseSerializer(_nothing(found)).data)
        sheet = sheets.lay_out(task=found.task, labeler=self.labeler) if wanted["with_sheet"] else None
        return Response(s.NextResponseSerializer({**_handed_out(found), "sheet": sheet}).data)


class DraftView(LabelingView):
    @describe(responses=s.DraftSerializer, summary="What you have not sent yet")
    def get(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        draft = drafts.load(task=self.task(uid), labeler=self.labeler)
        return Response(s.DraftSerializer(draft or {"payload": {}, "version": 0, "saved_at": None}).data)

    @describe(
        request=s.DraftSerializer,
        responses={200: s.DraftSavedSerializer, **ERRORS},
        summary="Keep what is not sent yet",
    )
    def put(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        data = self.read(s.DraftSerializer(data=request.data))
        task = self.task(uid)
        is_saved = drafts.save(task=task, labeler=self.labeler, payload=data["payload"], version=data["version"])
        kept = drafts.load(task=task, labeler=self.labeler)
        assert kept is not None  # noqa: S101  # saved just now, or a newer one is there
        answer = {"is_saved": is_saved, "version": kept.version, "saved_at": kept.saved_at}
        return Response(s.DraftSavedSerializer(answer).data)


class SubmitView(LabelingView):
    @describe(request=ANSWER, responses={201: s.SubmittedSerializer, **ERRORS}, summary="Send a ranking or an answer")
    def post(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        task = self.task(uid)
        take_in: dict[str, Callable[[Task, Request], Judgement]] = {
            Task.Kind.RANK: self._rank,
            Task.Kind.COMPARE: self._rank,
            Task.Kind.DEMONSTRATE: self._demonstrate,
            Task.Kind.WRITE_PROMPT: self._write_prompt,
            Task.Kind.ANNOTATE: self._annotate,
        }
        return _submitted(take_in[task.kind](task, request))

    def _rank(self, task: Task, request: Request) -> Ranking:
        serializer = s.RankingAnswerSerializer(data=request.data)
        key = self.read(serializer)["idempotency_key"]
        answer = serializer.answer(task)
        return rankings.submit(task=task, labeler=self.labeler, idempotency_key=key, answer=answer)

    def _demonstrate(self, task: Task, request: Request) -> Demonstration:
        data = self.read(s.DemonstrationAnswerSerializer(data=request.data))
        return demonstrations.submit(task=task, labeler=self.labeler, **data)

    def _write_prompt(self, task: Task, request: Request) -> WrittenPrompt:
        data = self.read(s.WrittenPromptSerializer(data=request.data))
        key = data.pop("idempotency_key")
        return writing.submit(task=task, labeler=self.labeler, idempotency_key=key, writing=Writing(**data))

    def _annotate(self, task: Task, request: Request) -> PromptAnnotation:
        data = self.read(s.AnnotationAnswerSerializer(data=request.data))
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
        serializer = s.RankingAnswerSerializer(data=request.data)
        key = self.read(serializer)["idempotency_key"]
        answer = serializer.answer(ranking.task)
        revised = rankings.revise(ranking=ranking, labeler=self.labeler, idempotency_key=key, answer=answer)
        return _submitted(revised)


class SkipView(LabelingView):
    @describe(request=s.SkipSerializer, responses={200: s.SkipSerializer, **ERRORS}, summary="Skip, and say why")
    def post(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        data = self.read(s.SkipSerializer(data=request.data))
        skip = assignments.skip(task=self.task(uid), labeler=self.labeler, **data)
        return Response(s.SkipSerializer(skip).data)


class ReleaseView(LabelingView):
    @describe(request=None, responses=s.ReleasedSerializer, summary="Give the task back")
    def post(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        return Response({"is_released": assignments.release(task=self.task(uid), labeler=self.labeler)})


class RenewView(LabelingView):
    @describe(request=None, responses=s.LeaseSerializer, summary="Hold the task for another lease")
    def post(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        lease_until = assignments.renew(task=self.task(uid), labeler=self.labeler)
        return Response(s.LeaseSerializer({"lease_until": lease_until}).data)


class PreviewView(LabelingView):
    @describe(request=s.PreviewSerializer, responses=s.PreviewedSerializer, summary="Markdown as labelers see it")
    def post(self, request: Request, slug: str) -> Response:
        text = self.read(s.PreviewSerializer(data=request.data))["text"]
        return Response({"html": rendering.to_html(text)})


class HintsView(LabelingView):
    @describe(request=s.WritingSerializer, responses=s.HintsSerializer, summary="What to look at in a prompt you write")
    def post(self, request: Request, slug: str) -> Response:
        data = self.read(s.WritingSerializer(data=request.data))
        return Response({"hints": writing.hints(project=self.project, writing=Writing(**data))})


def _nothing(found: assignments.Nothing) -> dict[str, Any]:
    return {"sheet": None, "task": None, "url": None, "lease_until": None, "nothing": found}


def _handed_out(slot: Slot) -> dict[str, Any]:
    return {
        "task": slot.task.uid,
        "url": reverse("work_task", args=[slot.task.project.slug, slot.task.uid]),
        "lease_until": slot.lease_until,
        "nothing": None,
    }


def _submitted(judgement: Judgement) -> Response:
    answer = {"uid": judgement.uid, "revision": judgement.revision, "is_surplus": judgement.slot_id is None}
    return Response(s.SubmittedSerializer(answer).data, status.HTTP_201_CREATED)
