"""Addresses of quality: guidelines read, qualification, known answers, reviews."""

from django.urls import URLPattern, path

from labeling.views import differences, payoff, qualification, quality, reviews

urlpatterns: list[URLPattern] = [
    path("guidelines/read/", quality.guidelines_read, name="guidelines_read"),
    path("quality/", quality.overview, name="quality"),
    path("quality/people/<uuid:uid>/", quality.person, name="quality_person"),
    path("quality/guidelines/", quality.readings, name="quality_readings"),
    path("quality/known/", quality.known_answers, name="known_answers"),
    path("quality/known/<uuid:uid>/", quality.reference, name="reference"),
    path("tasks/<uuid:uid>/known/", quality.use_task, name="task_use"),
    path("tasks/<uuid:uid>/review/", reviews.ask, name="task_review"),
    path("quality/sets/", qualification.show_all, name="qualification_sets"),
    path("quality/sets/<uuid:uid>/", qualification.show, name="qualification_set"),
    path("quality/sets/<uuid:uid>/add/", qualification.add, name="qualification_add"),
    path("quality/sets/<uuid:uid>/change/", qualification.change, name="qualification_change"),
    path("quality/sets/<uuid:uid>/let-pass/", qualification.let_pass, name="qualification_let_pass"),
    path("quality/differences/", differences.show_all, name="differences"),
    path("quality/differences/send/", differences.send, name="differences_send"),
    path("quality/differences/<uuid:uid>/", differences.show, name="difference"),
    path("quality/payoff/", payoff.show, name="payoff"),
    path("quality/payoff/freeze/", payoff.freeze, name="payoff_freeze"),
    path("quality/payoff/start/", payoff.start, name="payoff_start"),
    path("quality/reviews/", reviews.show_all, name="quality_reviews"),
    path("review/", reviews.queue, name="reviews"),
    path("review/next/", reviews.take_next, name="review_next"),
    path("review/grades/", qualification.to_grade, name="grades"),
    path("review/grades/<uuid:uid>/", qualification.grade, name="grade"),
    path("review/<uuid:uid>/", reviews.show, name="review"),
]
