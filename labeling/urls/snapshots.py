"""Addresses of the data pages."""

from django.urls import path

from labeling.views import snapshots

urlpatterns = [
    path("", snapshots.show_all, name="snapshots"),
    path("new/", snapshots.create, name="snapshot_new"),
    path("<uuid:uid>/", snapshots.show, name="snapshot"),
    path("<uuid:uid>/retry/", snapshots.retry, name="snapshot_retry"),
    path("<uuid:uid>/data.parquet", snapshots.download, {"filename": "data.parquet"}, name="snapshot_data"),
    path("<uuid:uid>/manifest.json", snapshots.download, {"filename": "manifest.json"}, name="snapshot_manifest"),
]
