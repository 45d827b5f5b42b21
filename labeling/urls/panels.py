"""Addresses of the report."""

from django.urls import URLPattern, path

from labeling.views import panels

urlpatterns: list[URLPattern] = [
    path("report/", panels.show, name="report"),
    path("report.json", panels.as_json, name="report_json"),
]
