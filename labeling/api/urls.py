"""Addresses of the labeling API, its schema and its description."""

from django.urls import URLPattern, path
from drf_spectacular.views import SpectacularAPIView

from labeling.api import docs, reviews, work

PROJECT = "v1/projects/<slug:slug>/"
TASK = PROJECT + "tasks/<uuid:uid>/"

urlpatterns: list[URLPattern] = [
    path(PROJECT + "next/", work.NextView.as_view(), name="api_next"),
    path(PROJECT + "preview/", work.PreviewView.as_view(), name="api_preview"),
    path(PROJECT + "hints/", work.HintsView.as_view(), name="api_hints"),
    path(TASK + "draft/", work.DraftView.as_view(), name="api_draft"),
    path(TASK + "submit/", work.SubmitView.as_view(), name="api_submit"),
    path(TASK + "skip/", work.SkipView.as_view(), name="api_skip"),
    path(TASK + "release/", work.ReleaseView.as_view(), name="api_release"),
    path(TASK + "renew/", work.RenewView.as_view(), name="api_renew"),
    path(PROJECT + "rankings/<uuid:uid>/revise/", work.ReviseView.as_view(), name="api_revise"),
    path(PROJECT + "reviews/<uuid:uid>/draft/", reviews.ReviewDraftView.as_view(), name="api_review_draft"),
    path("schema/", SpectacularAPIView.as_view(), name="api_schema"),
    path("docs/", docs.page, name="api_docs"),
]
