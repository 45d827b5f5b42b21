"""What a run's live parts ask for, and what can be taken away: metrics, use of the machine, log, files."""

from collections.abc import Iterator
from typing import Any, Final

from django.db.models import Model as Row
from django.http import FileResponse, Http404, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from labeling.models import Role, Run, RunLog, RunMetric, RunUsage
from labeling.permissions import ProjectRequest, member
from labeling.services import artifacts
from labeling.services.imports import cell
from labeling.services.runs import files, logs, numbers
from labeling.views.downloads import attached, csv_lines

# Part of an answer → its rows, what of them is told, and how many at once.
PARTS: Final[dict[str, tuple[type[Row], list[str], int]]] = {
    "metrics": (RunMetric, ["id", "step", "time", "values"], 2000),
    "usage": (RunUsage, ["id", "time", "values"], 2000),
    "log": (RunLog, ["id", "first_line", "text"], 100),
}
LARGE: Final = ("config", "result", "checkpoint")


@require_GET
@member(Role.REVIEWER)
def live(request: ProjectRequest, uid: str) -> JsonResponse:
    """All that an open page asks again and again, in one answer: of each part that is named, the rows after an id.

    A new `fence` means that a resumed stage did steps again: ask for metrics from 0.
    """
    found = Run.objects.defer(*LARGE)  # asked every second by every open page
    run = get_object_or_404(found, project=request.project, uid=uid)
    answer: dict[str, Any] = {"fence": run.fence, "is_live": run.is_live}
    answer |= {name: _later(run, name, _number(request, name)) for name in PARTS if name in request.GET}
    if "head" in request.GET:
        answer["head"] = render_to_string("runs/parts/head.html", {"run": run}, request)
    return JsonResponse(answer)


@require_GET
@member(Role.REVIEWER)
def metrics_csv(request: ProjectRequest, uid: str) -> StreamingHttpResponse:
    run = _get(request, uid)
    lines = csv_lines(_with_harmless_names(numbers.table(run)))
    return attached(StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8"), f"{run.name}-metrics.csv")


@require_GET
@member(Role.REVIEWER)
def log_text(request: ProjectRequest, uid: str) -> StreamingHttpResponse:
    run = _get(request, uid)
    answer = StreamingHttpResponse(logs.whole(run), content_type="text/plain; charset=utf-8")
    return attached(answer, f"{run.name}-log.txt")


@require_GET
@member(Role.MANAGER)  # responses.jsonl tells whose response is whose, and reviewers rank blind
def download(request: ProjectRequest, uid: str, name: str) -> FileResponse:
    run = _get(request, uid)
    file = files.find(run, name)
    if file is None or not artifacts.storage().exists(files.key_of(run, name)):
        raise Http404
    filename = f"{run.name}-{name.replace('/', '-')}"
    source = artifacts.storage().open(files.key_of(run, name), "rb")
    answer = FileResponse(source, as_attachment=True, filename=filename)
    answer["Content-Length"] = source.size  # not known of what comes over the network, unless it is said
    return answer


def _later(run: Run, part: str, after: int) -> dict[str, Any]:
    rows, names, most = PARTS[part]
    found = list(rows.objects.filter(run=run, id__gt=after).order_by("id").values(*names)[:most])  # type: ignore[attr-defined]
    return {"rows": found, "more": len(found) == most}


def _with_harmless_names(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """Names come from a stage, and a spreadsheet must not take one for a formula; numbers stay numbers."""
    yield [cell(name) for name in next(rows)]
    yield from rows


def _number(request: ProjectRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _get(request: ProjectRequest, uid: str) -> Run:
    return get_object_or_404(Run.objects.select_related("project"), project=request.project, uid=uid)
