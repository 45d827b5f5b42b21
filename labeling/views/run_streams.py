"""What a run's live parts ask for, and what can be taken away: metrics, use of the machine, log, files."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model as Row
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from labeling.models import Role, Run, RunLog, RunMetric, RunUsage
from labeling.permissions import ProjectRequest, member
from labeling.services import artifacts
from labeling.services.imports import cell
from labeling.services.runs import files, logs, numbers
from labeling.views.downloads import attached, csv_lines

ROWS_PER_ANSWER = 2000
PIECES_PER_ANSWER = 100


@require_GET
@member(Role.REVIEWER)
def head(request: ProjectRequest, uid: str) -> HttpResponse:
    """The line at the top of a run's pages. When the run has ended, the whole page is loaded once more."""
    run = _get(request, uid)
    response = render(request, "runs/parts/head.html", {"run": run})
    if not run.is_live:
        response["HX-Refresh"] = "true"
    return response


@require_GET
@member(Role.REVIEWER)
def metrics(request: ProjectRequest, uid: str) -> JsonResponse:
    """Rows after an id. A new `fence` means that a resumed stage did steps again: ask from 0."""
    return _rows(request, uid, RunMetric.objects.all(), ["id", "step", "time", "values"])


@require_GET
@member(Role.REVIEWER)
def usage(request: ProjectRequest, uid: str) -> JsonResponse:
    """What the stage used of its machine, by time. A resumed stage adds to it."""
    return _rows(request, uid, RunUsage.objects.all(), ["id", "time", "values"])


@require_GET
@member(Role.REVIEWER)
def log(request: ProjectRequest, uid: str) -> JsonResponse:
    run = _get(request, uid)
    later = RunLog.objects.filter(run=run, id__gt=_number(request, "after")).order_by("id")
    pieces = list(later.values("id", "first_line", "text")[:PIECES_PER_ANSWER])
    return JsonResponse({"is_live": run.is_live, "pieces": pieces, "more": len(pieces) == PIECES_PER_ANSWER})


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


def _rows(request: ProjectRequest, uid: str, rows: QuerySet[Any, Row], names: list[str]) -> JsonResponse:
    run = _get(request, uid)
    later = rows.filter(run=run, id__gt=_number(request, "after")).order_by("id")
    found = list(later.values(*names)[:ROWS_PER_ANSWER])
    more = len(found) == ROWS_PER_ANSWER
    return JsonResponse({"fence": run.fence, "is_live": run.is_live, "rows": found, "more": more})


def _with_harmless_names(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """Names come from a stage, and a spreadsheet must not take one for a formula; numbers stay numbers."""
    yield [cell(name) for name in next(rows)]
    yield from rows


def _number(request: ProjectRequest, name: str) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _get(request: ProjectRequest, uid: str) -> Run:
    return get_object_or_404(Run.objects.select_related("project"), project=request.project, uid=uid)
