"""Addresses of what rankings say when they are taken together: agreement, biases, leaderboard, evaluations."""

from django.urls import URLPattern, path

from labeling.views import agreement, evaluations

urlpatterns: list[URLPattern] = [
    path("rankings/agreement/", agreement.show, name="agreement"),
    path("rankings/biases/", agreement.biases, name="biases"),
    path("rankings/leaderboard/", agreement.leaderboard, name="leaderboard"),
    path("rankings/by-model/", agreement.by_model, name="by_model"),
    path("rankings/agreement/anew/", agreement.anew, {"page": "agreement"}, name="agreement_anew"),
    path("rankings/biases/anew/", agreement.anew, {"page": "biases"}, name="biases_anew"),
    path("rankings/leaderboard/anew/", agreement.anew_board, name="leaderboard_anew"),
    path("rankings/by-model/anew/", agreement.anew_by_model, name="by_model_anew"),
    path("evaluations/", evaluations.show_all, name="evaluations"),
    path("evaluations/new/", evaluations.create, name="evaluation_new"),
    path("evaluations/<uuid:uid>/", evaluations.show, name="evaluation"),
    path("evaluations/<uuid:uid>/more/", evaluations.more, name="evaluation_more"),
    path("evaluations/<uuid:uid>/cancel/", evaluations.change, {"action": "cancel"}, name="evaluation_cancel"),
    path("evaluations/<uuid:uid>/retry/", evaluations.change, {"action": "retry"}, name="evaluation_retry"),
    path("evaluations/<uuid:uid>/win-rates.csv", evaluations.win_rates_csv, name="evaluation_win_rates"),
    path("evaluations/<uuid:uid>/prompts.csv", evaluations.prompts_csv, name="evaluation_prompts"),
]
