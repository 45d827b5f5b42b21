"""How far a project is, and its prompts in the paper's tables."""

from django.http import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from labeling.models import Role
from labeling.permissions import ProjectRequest, member
from labeling.services import annotations, progress, prompt_tables


@require_GET
@member(Role.MANAGER)
def show(request: ProjectRequest) -> HttpResponseBase:
    context = {
        "nav": "progress",
        "progress": progress.of(request.project),
        "tables": prompt_tables.of(request.project),
        "labels": annotations.shares(project=request.project),
    }
    return render(request, "progress/show.html", context)
