"""Addresses of the labeling API."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
