"""Addresses of what rankings say when they are taken together: agreement, biases, the leaderboard."""

from django.urls import URLPattern, path

from labeling.views import agreement

urlpatterns: list[URLPattern] = [
    path("rankings/agreement/", agreement.show, name="agreement"),
    path("rankings/biases/", agreement.biases, name="biases"),
    path("rankings/leaderboard/", agreement.leaderboard, name="leaderboard"),
    path("rankings/by-model/", agreement.by_model, name="by_model"),
    path("rankings/agreement/anew/", agreement.anew, {"page": "agreement"}, name="agreement_anew"),
    path("rankings/biases/anew/", agreement.anew, {"page": "biases"}, name="biases_anew"),
    path("rankings/leaderboard/anew/", agreement.anew_board, name="leaderboard_anew"),
    path("rankings/by-model/anew/", agreement.anew_by_model, name="by_model_anew"),
]
