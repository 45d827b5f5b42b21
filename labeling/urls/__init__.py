"""Pages, one module per family."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("labeling.urls.frame")),  # home, projects, people, guidelines, invitations
    path("p/<slug:slug>/work/", include("labeling.urls.work")),  # the labeler's pages
    path("p/<slug:slug>/", include("labeling.urls.agreement")),  # agreement, biases, leaderboard
    path("p/<slug:slug>/", include("labeling.urls.prompts")),  # prompts, imports, tasks, rankings
    path("p/<slug:slug>/", include("labeling.urls.quality")),  # guidelines read, qualification, known answers, reviews
    path("p/<slug:slug>/playground/", include("labeling.urls.playground")),
    path("p/<slug:slug>/data/", include("labeling.urls.snapshots")),
    path("p/<slug:slug>/", include("labeling.urls.panels")),  # the paper's panels
    path("p/<slug:slug>/", include("labeling.urls.runs")),  # runs, models, rounds, dashboard
]
