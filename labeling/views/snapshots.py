"""Pages of frozen data."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from labeling.forms.snapshots import SnapshotForm
from labeling.models import Demonstration, Prompt, Ranking, Response, Role, Snapshot, Split, UseCase
from labeling.permissions import ProjectRequest, member
from labeling.services import lineage, snapshots, withdrawals

LENGTHS_OF = {"prompt": "Prompts", "response": "Responses", "demonstration": "Demonstrations", "text": "Texts"}
STATE_BADGES = {
    "queued": "running",
    "building": "running",
    "ready": "done",
    "same": "done",
    "failed": "failed",
}


@member(Role.MANAGER)
@require_safe
def show_all(request: ProjectRequest) -> HttpResponse:
    rows = Snapshot.objects.filter(project=request.project).select_related("same_as", "created_by")
    kind = request.GET.get("kind", "")
    if kind in Snapshot.Kind.values:
        rows = rows.filter(kind=kind)
    rows = rows.annotate(num_runs=Count("run_inputs")).order_by("-created_at", "-pk")  # grouping drops Meta's order
    page = Paginator(rows, 50).get_page(request.GET.get("page"))
    return render(
        request,
        "snapshots/list.html",
        {"nav": "data", "project": request.project, "page": page, "kinds": Snapshot.Kind.choices, "kind": kind},
    )


@member(Role.MANAGER)
def create(request: ProjectRequest) -> HttpResponse:
    initial = {"kind": request.GET.get("kind", Snapshot.Kind.REWARD), "name": request.GET.get("name", "")}
    form = SnapshotForm(request.POST or None, request.FILES or None, project=request.project, initial=initial)
    if request.method == "POST" and form.is_valid():
        snapshot = snapshots.create(
            project=request.project,
            kind=form.cleaned_data["kind"],
            name=form.cleaned_data["name"],
            filters=form.filters(),
            user=request.user,
        )
        return redirect("snapshot", slug=request.project.slug, uid=snapshot.uid)
    context = {"nav": "data", "project": request.project, "form": form, "available": _available(request)}
    return render(request, "snapshots/new.html", context, status=422 if form.errors else 200)


def _available(request: ProjectRequest) -> dict[str, int]:
    """What there is to freeze, so that nobody asks for an empty snapshot."""
    return {
        "rankings": Ranking.objects.trainable().filter(task__project=request.project).count(),
        "demonstrations": Demonstration.objects.counted().filter(prompt__project=request.project).count(),
        "prompts": Prompt.objects.filter(project=request.project).in_use().count(),
        "responses": Response.objects.filter(prompt__project=request.project).count(),
    }


@member(Role.MANAGER)
@require_safe
def show(request: ProjectRequest, uid: str) -> HttpResponse:
    snapshot = _get(request, uid)
    context = {
        "nav": "data",
        "project": request.project,
        "snapshot": snapshot,
        "badge": STATE_BADGES[snapshot.state],
        "tables": _tables(snapshot),
        "withdrawn": withdrawals.held_by_snapshots([snapshot]),
        "made": lineage.from_snapshot(snapshot),
        "is_live": snapshot.state in ("queued", "building"),
    }
    template = "snapshots/parts/state.html" if request.headers.get("HX-Request") else "snapshots/show.html"
    return render(request, template, context)


def _tables(snapshot: Snapshot) -> dict[str, object]:
    """The stats of a ready snapshot, turned into rows for the page."""
    stats = snapshot.stats
    if not stats:
        return {}
    return {
        "stats": stats,
        "splits": [row | {"split": Split(row["split"]).label} for row in stats["splits"]],
        "num_rows": sum(row["rows"] for row in stats["splits"]),
        "use_cases": [(_use_case(name), num, share) for name, num, share in _shares(stats["use_cases"])],
        "languages": _shares(stats["languages"]),
        "lengths": [(_length_of(name), row) for name, row in stats["lengths"].items()],
        "num_responses": [(int(size), count) for size, count in stats["num_responses"].items()],
        "left_out": list(stats.get("left_out", {}).items()),
    }


def _use_case(name: str) -> str:
    """As people know it; a category that came with an import stays as it is."""
    return dict(UseCase.choices).get(name, name)


def _length_of(name: str) -> str:
    """`prompt` is Prompts, `prompt: open_qa` is Prompts: Open QA."""
    what, _, category = name.partition(": ")
    return f"{LENGTHS_OF[what]}: {_use_case(category)}" if category else LENGTHS_OF[what]


def _shares(counts: dict[str, int]) -> list[tuple[str, int, float]]:
    """(name, count, percent), most first: JSON in the database keeps no order."""
    total = sum(counts.values()) or 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(name, num, 100 * num / total) for name, num in ordered]


@member(Role.MANAGER)
@require_POST
def retry(request: ProjectRequest, uid: str) -> HttpResponse:
    snapshot = _get(request, uid)
    try:
        snapshots.retry(snapshot)
    except snapshots.SnapshotError as error:
        messages.error(request, str(error))
    return redirect("snapshot", slug=request.project.slug, uid=snapshot.uid)


@member(Role.MANAGER)
@require_safe
def download(request: ProjectRequest, uid: str, filename: str) -> FileResponse:
    snapshot = get_object_or_404(Snapshot, project=request.project, uid=uid, state=Snapshot.State.READY)
    path = snapshots.folder(snapshot) / filename
    return FileResponse(path.open("rb"), as_attachment=True, filename=f"{snapshot.name}-{filename}")


def _get(request: ProjectRequest, uid: str) -> Snapshot:
    return get_object_or_404(Snapshot.objects.select_related("same_as", "created_by"), project=request.project, uid=uid)
