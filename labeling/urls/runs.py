"""Addresses of the dashboard, runs, models and rounds."""

from django.urls import URLPattern, path

from labeling.views import dashboard, model_imports, models, rounds, run_streams, runs, workers

urlpatterns: list[URLPattern] = [
    path("", dashboard.show, name="dashboard"),
    path("runs/", runs.show_all, name="runs"),
    path("runs/workers/", workers.show, name="workers"),
    path("runs/new/", runs.choose, name="run_new"),
    path("runs/new/<slug:stage>/", runs.create, name="run_new_stage"),
    path("runs/compare/", runs.compare, name="runs_compare"),
    path("runs/<uuid:uid>/", runs.show, name="run"),
    path("runs/<uuid:uid>/report/", runs.show, {"tab": "report"}, name="run_report"),
    path("runs/<uuid:uid>/curves/", runs.show, {"tab": "curves"}, name="run_curves"),
    path("runs/<uuid:uid>/log/", runs.show, {"tab": "log"}, name="run_log"),
    path("runs/<uuid:uid>/files/", runs.show, {"tab": "files"}, name="run_files"),
    path("runs/<uuid:uid>/config/", runs.show, {"tab": "config"}, name="run_config"),
    path("runs/<uuid:uid>/live.json", run_streams.live, name="run_live"),
    path("runs/<uuid:uid>/metrics.csv", run_streams.metrics_csv, name="run_metrics_csv"),
    path("runs/<uuid:uid>/log.txt", run_streams.log_text, name="run_log_text"),
    path("runs/<uuid:uid>/files/<path:name>", run_streams.download, name="run_file"),
    path("runs/<uuid:uid>/cancel/", runs.cancel, name="run_cancel"),
    path("runs/<uuid:uid>/resume/", runs.resume, name="run_resume"),
    path("runs/<uuid:uid>/note/", runs.annotate, name="run_note"),
    path("runs/<uuid:uid>/tasks/", runs.make_tasks, name="run_tasks"),
    path("models/", models.show_all, name="models"),
    path("models/import/", model_imports.bring, name="model_import"),
    path("models/<uuid:uid>/", models.show, name="model"),
    path("models/<uuid:uid>/card/", models.card, name="model_card"),
    path("models/<uuid:uid>/card.md", models.card_file, name="model_card_file"),
    path("models/<uuid:uid>/archive.zip", models.archive, name="model_archive"),
    path("models/<uuid:uid>/note/", models.annotate, name="model_note"),
    path("models/<uuid:uid>/promote/", models.change, {"action": "promote"}, name="model_promote"),
    path("models/<uuid:uid>/retire/", models.change, {"action": "retire"}, name="model_retire"),
    path("models/<uuid:uid>/restore/", models.change, {"action": "restore"}, name="model_restore"),
    path("rounds/", rounds.show_all, name="rounds"),
    path("rounds/start/", rounds.start, name="round_start"),
    path("rounds/<uuid:uid>/", rounds.show, name="round"),
    path("rounds/<uuid:uid>/proceed/", rounds.change, {"action": "proceed"}, name="round_proceed"),
    path("rounds/<uuid:uid>/retry/", rounds.change, {"action": "retry"}, name="round_retry"),
    path("rounds/<uuid:uid>/cancel/", rounds.change, {"action": "cancel"}, name="round_cancel"),
]
