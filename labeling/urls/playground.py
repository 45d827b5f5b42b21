"""Addresses of the playground. For managers alone: its pages name models, and reviewers and labelers rank blind."""

from django.urls import URLPattern, path

from labeling.views import playground

urlpatterns: list[URLPattern] = [
    path("", playground.show_all, name="playground"),
    path("<uuid:uid>/", playground.show, name="playground_session"),
    path("<uuid:uid>/live/", playground.live, name="playground_live"),
    path("<uuid:uid>/stop/", playground.change, {"action": "stop"}, name="playground_stop"),
    path("<uuid:uid>/wake/", playground.change, {"action": "wake"}, name="playground_wake"),
    path("<uuid:uid>/again/", playground.change, {"action": "again"}, name="playground_again"),
    path("<uuid:uid>/forget/", playground.forget, name="playground_forget"),
    path("<uuid:uid>/<int:number>/ranking/", playground.rank, name="playground_rank"),
    path("<uuid:uid>/<int:number>/more/", playground.sample_more, name="playground_more"),
    path("answers/<uuid:uid>/", playground.demonstrate, name="playground_demonstrate"),
]
