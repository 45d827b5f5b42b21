"""Pages of models: what runs made, where it came from, its card, and which policy samples."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from labeling.forms.run_lists import ModelFilterForm
from labeling.forms.runs import ModelNoteForm
from labeling.models import Model, Role
from labeling.permissions import ProjectRequest, member
from labeling.services import lineage, model_archives, model_card, registry, withdrawals
from labeling.views.downloads import attached
from labeling.views.run_tabs import accuracies, other_figures

PER_PAGE = 50
ACTIONS = {
    "promote": (registry.promote, "{} samples from now on."),
    "retire": (registry.retire, "{} is retired: it is no longer offered for runs."),
    "restore": (registry.restore, "{} is offered for runs again."),
}


@require_GET
@member(Role.REVIEWER)
def show_all(request: ProjectRequest) -> HttpResponse:
    form = ModelFilterForm(request.GET)
    found = form.apply(request.project).select_related("parent", "run")
    found = found.annotate(num_responses=Count("responses")).order_by("-created_at", "-pk")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    context = {"nav": "models", "page": page, "form": form, "is_filtered": any(form.cleaned_data.values())}
    return render(request, "models/list.html", context)


@require_GET
@member(Role.REVIEWER)
def show(request: ProjectRequest, uid: str) -> HttpResponse:
    model = _get(request, uid)
    files = model.run.result.get("files", {}) if model.run else {}
    ancestors = lineage.of(model)
    graph = lineage.graph_of(ancestors, with_names=request.role == Role.MANAGER)
    context = {
        "nav": "models",
        "model": model,
        "ancestors": ancestors,
        "drawing": lineage.draw(graph),
        "withdrawn": withdrawals.held_by_snapshots(
            frozen.snapshot for ancestor in ancestors for frozen in ancestor.data
        ),
        "figures": other_figures(model.metrics),
        "accuracies": accuracies(model.metrics),
        "evaluations": model_card.evaluations(model),
        "limits": model_card.limits(model, ancestors),
        "files": sorted((name, entry) for name, entry in files.items() if name.startswith(registry.FOLDER)),
        "num_bytes": sum(entry["bytes"] for name, entry in files.items() if name.startswith(registry.FOLDER)),
        "num_responses": model.responses.count(),
        "events": model.events.order_by("-id"),
        "note_form": ModelNoteForm(initial={"note": model.note}),
        "children": model.children.all()[:50],
    }
    return render(request, "models/show.html", context)


@require_GET
@member(Role.REVIEWER)
def card(request: ProjectRequest, uid: str) -> HttpResponse:
    model = _get(request, uid)
    text = model_card.write(model)
    return render(request, "models/card.html", {"nav": "models", "model": model, "card": text})


@require_GET
@member(Role.REVIEWER)
def card_file(request: ProjectRequest, uid: str) -> HttpResponse:
    model = _get(request, uid)
    answer = HttpResponse(model_card.write(model), content_type="text/markdown; charset=utf-8")
    return attached(answer, f"{model.name}.md")


@require_GET
@member(Role.MANAGER)
def archive(request: ProjectRequest, uid: str) -> StreamingHttpResponse:
    """The model's files and its card, zipped while they are sent."""
    model = _get(request, uid)
    if not model.storage_key:
        raise Http404
    return attached(
        StreamingHttpResponse(model_archives.stream(model), content_type="application/zip"), f"{model.name}.zip"
    )


@require_POST
@member(Role.MANAGER)
def annotate(request: ProjectRequest, uid: str) -> HttpResponse:
    model, form = _get(request, uid), ModelNoteForm(request.POST)
    if form.is_valid():
        registry.annotate(model, note=form.cleaned_data["note"])
        messages.success(request, "The note is saved.")
    else:
        messages.error(request, "The note was not saved: it is too long.")
    return redirect("model", request.project.slug, model.uid)


@require_POST
@member(Role.MANAGER)
def change(request: ProjectRequest, uid: str, action: str) -> HttpResponse:
    model = _get(request, uid)
    act, done = ACTIONS[action]
    try:
        act(model, by=request.user)
    except registry.RegistryError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, done.format(model.name))
    return redirect("model", request.project.slug, model.uid)


def _get(request: ProjectRequest, uid: str) -> Model:
    return get_object_or_404(Model.objects.select_related("parent", "run"), project=request.project, uid=uid)
