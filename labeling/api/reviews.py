"""The reviewer's part of the labeling API: what is not sent yet."""

import uuid

from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api import serializers as s
from labeling.api.base import LabelingView, describe, written
from labeling.models import Review, Role
from labeling.services.quality import review_drafts


class ReviewDraftView(LabelingView):
    least_role = Role.REVIEWER

    @describe(responses=s.DraftSerializer, summary="What you have not sent yet of a review")
    def get(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        return Response(written(s.DraftSerializer, self._kept(self._review(uid))))

    @describe(
        request=s.DraftSerializer,
        responses={200: s.DraftSavedSerializer, 422: s.ErrorSerializer},
        summary="Keep what is not sent yet of a review that you hold",
    )
    def put(self, request: Request, slug: str, uid: uuid.UUID) -> Response:
        data = self.read(s.DraftSerializer)
        review = self._review(uid)
        is_saved = review_drafts.save(review=review, reviewer=self.labeler, **data)
        kept = self._kept(review)
        answer = {"is_saved": is_saved, "version": kept.version, "saved_at": kept.saved_at}
        return Response(written(s.DraftSavedSerializer, answer))

    def _review(self, uid: uuid.UUID) -> Review:
        reviews = Review.objects.filter(project=self.project, reviewer=self.labeler)
        return get_object_or_404(reviews.select_related("task"), uid=uid)

    def _kept(self, review: Review) -> review_drafts.Unsent:
        step = review_drafts.step_of(review=review, reviewer=self.labeler)
        return review_drafts.load(review=review, reviewer=self.labeler, step=step)
