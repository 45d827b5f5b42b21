"""Pages of models: what runs made, where it came from, which policy samples."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from labeling.models import Model, Role
from labeling.permissions import ProjectRequest, member
from labeling.services import lineage, registry, withdrawals
from labeling.services.comparison import figures
from labeling.views.run_tabs import accuracies

PER_PAGE = 50
ACTIONS = {
    "promote": (registry.promote, "{} samples from now on."),
    "retire": (registry.retire, "{} is retired: it is no longer offered for runs."),
    "restore": (registry.restore, "{} is offered for runs again."),
}


@require_GET
@member(Role.REVIEWER)
def show_all(request: ProjectRequest) -> HttpResponse:
    kind = request.GET.get("kind", "")
    found = Model.objects.filter(project=request.project).select_related("parent", "run")
    found = found.filter(kind=kind) if kind in Model.Kind.values else found
    found = found.annotate(num_responses=Count("responses")).order_by("-created_at", "-pk")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    return render(
        request, "models/list.html", {"nav": "models", "page": page, "kinds": Model.Kind.choices, "kind": kind}
    )


@require_GET
@member(Role.REVIEWER)
def show(request: ProjectRequest, uid: str) -> HttpResponse:
    model = _get(request, uid)
    files = model.run.result.get("files", {}) if model.run else {}
    ancestors = lineage.of(model)
    context = {
        "nav": "models",
        "model": model,
        "ancestors": ancestors,
        "withdrawn": withdrawals.held_by_snapshots(
            frozen.snapshot for ancestor in ancestors for frozen in ancestor.data
        ),
        "figures": figures(model.metrics),
        "accuracies": accuracies(model.metrics),
        "files": sorted((name, entry) for name, entry in files.items() if name.startswith(registry.FOLDER)),
        "num_responses": model.responses.count(),
        "children": model.children.all()[:50],
    }
    return render(request, "models/show.html", context)


@require_POST
@member(Role.MANAGER)
def change(request: ProjectRequest, uid: str, action: str) -> HttpResponse:
    model = _get(request, uid)
    act, done = ACTIONS[action]
    try:
        act(model)
    except registry.RegistryError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, done.format(model.name))
    return redirect("model", request.project.slug, model.uid)


def _get(request: ProjectRequest, uid: str) -> Model:
    return get_object_or_404(Model.objects.select_related("parent", "run"), project=request.project, uid=uid)
