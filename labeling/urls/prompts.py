"""Addresses of the prompts pages."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
