"""Addresses of the snapshots pages."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
