"""The API described, from files of our own: no other host, no inline script."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "api/docs.html")
