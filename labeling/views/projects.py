"""Projects: list, create, settings; guidelines with their versions."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from labeling.forms.projects import GuidelineForm, NewProjectForm, ProjectForm
from labeling.models import Membership, Project, Role
from labeling.permissions import ProjectRequest, member
from labeling.services import lineage, projects
from labeling.views.frame import PersonRequest


@require_GET
def project_list(request: PersonRequest) -> HttpResponse:
    visible = Project.objects.visible_to(request.user).distinct()
    roles = dict(Membership.objects.filter(user=request.user, is_active=True).values_list("project_id", "role"))
    rows = [(project, Role.MANAGER if request.user.is_superuser else Role(roles[project.pk])) for project in visible]
    return render(request, "projects/list.html", {"rows": rows, "may_create": may_create(request)})


def may_create(request: PersonRequest) -> bool:
    """Superusers, and whoever manages a project already."""
    manages = Membership.objects.filter(user=request.user, is_active=True, role=Role.MANAGER)
    return request.user.is_superuser or manages.exists()


@require_http_methods(["GET", "POST"])
def project_create(request: PersonRequest) -> HttpResponse:
    if not may_create(request):
        raise PermissionDenied
    form = NewProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        project = projects.create(by=request.user, **form.cleaned_data)
        messages.success(request, f"{project.name} is ready. Next: bring in prompts, and invite the first labeler.")
        return redirect("enter", project.slug)
    return render(request, "projects/create.html", {"form": form})


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def project_settings(request: ProjectRequest) -> HttpResponseBase:
    form = ProjectForm(request.POST or None, instance=request.project)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "The settings are saved. They hold for tasks made from now on.")
        return redirect("project_settings", request.project.slug)
    if form.errors:
        request.project.refresh_from_db()  # the frame shows what is, not what was typed
    return render(request, "projects/settings.html", {"form": form, "nav": "settings"})


@require_GET
@member(Role.LABELER)
def guidelines(request: ProjectRequest, version: int | None = None) -> HttpResponseBase:
    current = request.project.current_guideline()
    shown = get_object_or_404(request.project.guidelines, version=version) if version else current
    versions = request.project.guidelines.select_related("author").order_by("-version")
    context: dict[str, Any] = {"shown": shown, "current": current, "versions": versions, "nav": "guidelines"}
    if shown and request.role == Role.MANAGER:  # labelers rank blind: which models learned is not theirs to see
        context["made"] = lineage.from_guideline(shown)
    return render(request, "guidelines/show.html", context)


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def guideline_publish(request: ProjectRequest) -> HttpResponseBase:
    current = request.project.current_guideline()
    form = GuidelineForm(request.POST or None, initial={"text": current.text if current else ""})
    if request.method == "POST" and form.is_valid() and "preview" not in request.POST:
        text = form.cleaned_data["text"]
        published = projects.publish_guideline(project=request.project, text=text, by=request.user)
        messages.success(request, f"Version {published.version} is published. New work records it.")
        return redirect("guidelines", request.project.slug)
    context = {"form": form, "current": current, "preview": form.data.get("text", ""), "nav": "guidelines"}
    return render(request, "guidelines/publish.html", context)
