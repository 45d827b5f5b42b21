"""Files that come in: looked at first, then read by a job, then accounted for."""

import csv
import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.forms.imports import ReadingForm, UploadForm
from labeling.models import ImportBatch, Role
from labeling.permissions import ProjectRequest, member
from labeling.services import imports

State = ImportBatch.State


@require_http_methods(["GET", "HEAD", "POST"])
@member(Role.MANAGER)
def show_all(request: ProjectRequest) -> HttpResponseBase:
    """The imports so far, and the form that brings a file to be looked at."""
    form = UploadForm(request.POST or None, request.FILES or None, initial={"kind": _kind(request)})
    if request.method == "POST" and form.is_valid():
        try:
            batch = imports.receive(
                project=request.project,
                kind=form.cleaned_data["kind"],
                upload=form.cleaned_data["file"],
                user=request.user,
                options=form.options(),
            )
        except imports.FileError as error:
            form.add_error("file", str(error))
        else:
            return redirect("import", request.project.slug, batch.uid)
    rows = ImportBatch.objects.filter(project=request.project).select_related("created_by")
    page = Paginator(rows, 25).get_page(request.GET.get("page"))
    return render(request, "imports/list.html", {"nav": "prompts", "form": form, "page": page})


def _kind(request: ProjectRequest) -> str:
    asked = request.GET.get("kind", "")
    return asked if asked in ImportBatch.Kind.values else ImportBatch.Kind.PROMPTS


@require_http_methods(["GET", "HEAD", "POST"])
@member(Role.MANAGER)
def show(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """Before: how the file will be read, and a form to change that. After: what came of it."""
    batch = _batch(request, uid)
    if batch.state == State.PREVIEW:
        return _preview(request, batch)
    return render(request, "imports/show.html", _counts(request, batch))


def _preview(request: ProjectRequest, batch: ImportBatch) -> HttpResponseBase:
    context: dict[str, Any] = {"nav": "prompts", "batch": batch, "earlier": imports.earlier(batch)}
    try:
        found = imports.preview(batch)
    except imports.FileError as error:
        return render(request, "imports/preview.html", context | {"error": str(error)})
    form = ReadingForm(request.POST or None, batch=batch, found=found)
    if request.method == "POST" and form.is_valid():
        ImportBatch.objects.filter(pk=batch.pk, state=State.PREVIEW).update(options=form.options())
        return redirect("import", request.project.slug, batch.uid)
    return render(request, "imports/preview.html", context | {"found": found, "form": form, "tally": found.tally})


def _counts(request: ProjectRequest, batch: ImportBatch) -> dict[str, Any]:
    reason = request.GET.get("reason", "")
    refusals = batch.refusals.filter(reason=reason) if reason else batch.refusals.all()
    return {
        "nav": "prompts",
        "batch": batch,
        "tally": imports.tally(batch),
        "reason": reason,
        "page": Paginator(refusals, 100).get_page(request.GET.get("page")),
        **_progress(batch),
    }


def _progress(batch: ImportBatch) -> dict[str, Any]:
    num_lines = batch.counts.get("num_lines") or 0
    return {"num_lines": num_lines, "last_line": min(batch.counts.get("last_line", 0), num_lines)}


@require_safe
@member(Role.MANAGER)
def progress(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """The part of the page that htmx asks for again; a finished import reloads the page instead."""
    batch = _batch(request, uid)
    response = render(request, "imports/parts/progress.html", {"batch": batch, **_progress(batch)})
    if batch.state != State.RUNNING:
        response["HX-Refresh"] = "true"
    return response


@require_POST
@member(Role.MANAGER)
def run(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    imports.start(_batch(request, uid))
    return redirect("import", request.project.slug, uid)


@require_POST
@member(Role.MANAGER)
def forget(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    batch = _batch(request, uid)
    if imports.forget(batch):
        messages.success(request, f"{batch.filename} is gone; nothing of it was taken.")
    return redirect("imports", request.project.slug)


@require_safe
@member(Role.MANAGER)
def refusals(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """All refused rows as CSV. A cell that would start a formula is made harmless."""
    batch = _batch(request, uid)
    response = StreamingHttpResponse(_csv_lines(batch), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="refused-{batch.uid}.csv"'
    return response


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, line: str) -> str:
        return line


def _csv_lines(batch: ImportBatch) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(["line", "reason", "detail"])
    for item in batch.refusals.order_by("line").iterator():
        yield writer.writerow([item.line, item.reason, imports.cell(item.detail)])


def _batch(request: ProjectRequest, uid: uuid.UUID) -> ImportBatch:
    return get_object_or_404(ImportBatch.objects.select_related("project"), project=request.project, uid=uid)
