"""The page that brings a model in: three ways, each of which queues a run."""

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from labeling.forms.model_imports import FORMS, ArchiveForm, BringForm, FolderForm, HubForm
from labeling.models import Role, Run
from labeling.permissions import ProjectRequest, member
from labeling.services import artifacts, model_folders, model_imports
from training.contract.configs import ConfigError
from training.contract.modelfiles import ModelFilesError


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def bring(request: ProjectRequest) -> HttpResponse:
    chosen = request.POST.get("source", "")
    forms = {kind.source: _form(request, kind, chosen) for kind in FORMS}
    sent = forms.get(chosen)
    if sent is not None and sent.is_valid() and (run := _queue(request, sent)):
        return redirect("run", request.project.slug, run.uid)
    context = {
        "nav": "models",
        "forms": forms,
        "root": model_folders.place(),
        "is_of_this_machine": artifacts.is_folder(),
        "most_bytes": settings.MAX_MODEL_BYTES,
        "chosen": chosen,
    }
    return render(request, "models/import.html", context, status=422 if sent is not None else 200)


def _form(request: ProjectRequest, kind: type[BringForm], chosen: str) -> BringForm:
    return kind(request.POST, request.FILES) if kind.source == chosen else kind()


def _queue(request: ProjectRequest, form: BringForm) -> Run | None:
    """None when it was refused; the form says why."""
    shared = {"project": request.project, "user": request.user, **form.values}
    asked = form.cleaned_data
    try:
        if isinstance(form, ArchiveForm):
            return model_imports.from_archive(upload=asked["file"], **shared)
        if isinstance(form, HubForm):
            return model_imports.from_hub(repo=asked["repo"], revision=asked["revision"], **shared)
        return model_imports.from_folder(folder=asked["folder"], **shared)
    except (ModelFilesError, ConfigError) as error:
        form.add_error({ArchiveForm: "file", HubForm: "repo", FolderForm: "folder"}[type(form)], str(error))
        return None
