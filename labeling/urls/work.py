"""Addresses of the labeler's pages. No response and no model ever has an address here."""

from django.urls import URLPattern, path

from labeling.views import history, wellbeing, work, writing

urlpatterns: list[URLPattern] = [
    path("", work.start, name="work"),
    path("next/", work.begin, name="work_next"),
    path("task/<uuid:uid>/", work.task, name="work_task"),
    path("statistics/", wellbeing.statistics, name="statistics"),
    path("survey/", wellbeing.answer_survey, name="survey"),
    path("history/", history.history, name="history"),
    path("history/ranking/<uuid:uid>/", history.ranking, name="history_ranking"),
    path("history/written/<uuid:uid>/", history.demonstration, name="history_demonstration"),
    path("history/prompt/<uuid:uid>/", writing.prompt, name="history_prompt"),
    path("history/labels/<uuid:uid>/", writing.annotation, name="history_annotation"),
]
