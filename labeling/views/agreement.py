"""What rankings say when they are taken together. Reviewers read all but the leaderboard: they rank blind."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labeling.forms.agreement import METHODS, TIES, AgreementForm, LeaderboardForm, ScopeForm
from labeling.models import Model, Role, Task, UseCase, User
from labeling.permissions import ProjectRequest, member
from labeling.services import agreement, bias, kept
from labeling.services import by_model as models_judged
from labeling.services import leaderboard as boards
from labeling.services.agreement import Figure, Scope, TieRule
from labeling.services.agreement.measures import Line
from labeling.services.panels import paper

# What two of its labelers, and two who were held out from training, agree on.
PAPER = [
    (who, Figure(printed.value, printed.low, printed.high))
    for who, printed in (
        ("InstructGPT's labelers", paper.AGREEMENT),
        ("InstructGPT's held-out labelers", paper.HELD_OUT_AGREEMENT),
    )
]
NUM_WORST = 25
MOST_MODELS = 12  # side by side
NO_NAME = "not given"


@dataclass(frozen=True)
class Row:
    """A line of a table: the agreement under the chosen tie rule beside the other measures."""

    label: str
    share: Figure
    line: Line
    person: User | None = None


@require_safe
@member(Role.REVIEWER)
def show(request: ProjectRequest) -> HttpResponseBase:
    form = AgreementForm(request.GET, project=request.project)
    scope = form.scope()
    ties = _chosen(form, "ties", agreement.TIE_RULES)
    report: agreement.Report | None = kept.get("agreement", request.project, scope)
    if report is None or _only_asks(request):
        return _wait(request, "agreement", is_ready=report is not None)
    people = User.objects.in_bulk([line.key for line in report.labelers])
    context = {
        "report": report,
        "ties": ties,
        "ties_words": TIES[ties],
        "share": report.overall.agreement[ties],
        "paper": PAPER,
        "labelers": [_row(line, ties, str(people[line.key]), people[line.key]) for line in report.labelers],
        "matrix": _matrix(report, ties, people),
        "tables": _tables(report, ties),
        "weeks": [_row(line, ties, f"{line.key:%-d %b %Y}") for line in report.by["week"]],
        "left_out": _left_out(report.coverage),
        "own": [(step.label, step.agreement[ties]) for step in report.distances.own],
        "mean": [(step.label, step.agreement[ties]) for step in report.distances.mean],
        "worst": _worst(request, report.worst[ties]),
    }
    return render(request, "agreement/show.html", context | _frame("agreement", form, scope))


@require_safe
@member(Role.REVIEWER)
def biases(request: ProjectRequest) -> HttpResponseBase:
    form = ScopeForm(request.GET, project=request.project)
    scope = form.scope()
    report: bias.Report | None = kept.get("biases", request.project, scope)
    if report is None or _only_asks(request):
        return _wait(request, "biases", is_ready=report is not None)
    context = {
        "report": report,
        "first_words": report.places[0].in_words("The first shown") if report.places else "",
        "earlier_words": report.earlier.in_words("Of two responses, the one shown earlier") if report.places else "",
        "longer_words": report.longer.in_words("Of two responses, the longer one"),
    }
    return render(request, "agreement/biases.html", context | _frame("biases", form, scope))


@require_safe
@member(Role.MANAGER)
def leaderboard(request: ProjectRequest) -> HttpResponseBase:
    form = LeaderboardForm(request.GET, project=request.project)
    scope = form.scope()
    method = _chosen(form, "method", tuple(boards.METHODS))
    board: boards.Board | None = kept.get(f"leaderboard-{method}", request.project, scope)
    if board is None or _only_asks(request):
        return _wait(request, "leaderboard", is_ready=board is not None)
    ids = [place.model_id for part in board.parts for place in part.places]
    context = {
        "board": board,
        "method_words": METHODS[method],
        "uids": dict(Model.objects.filter(project=request.project, pk__in=ids).values_list("pk", "uid")),
        "parts": [(part, scale(place.score for place in part.places)) for part in board.parts],
    }
    return render(request, "agreement/leaderboard.html", context | _frame("leaderboard", form, scope))


@require_safe
@member(Role.MANAGER)
def by_model(request: ProjectRequest) -> HttpResponseBase:
    form = ScopeForm(request.GET, project=request.project)
    scope = form.scope()
    report: models_judged.Report | None = kept.get("by_model", request.project, scope)
    if report is None or _only_asks(request):
        return _wait(request, "by_model", is_ready=report is not None)
    shown = report.models[:MOST_MODELS]
    ids = [one.model_id for one in shown]
    context = {
        "report": report,
        "models": shown,
        "num_left": len(report.models) - len(shown),
        "uids": dict(Model.objects.filter(project=request.project, pk__in=ids).values_list("pk", "uid")),
        "rows": [(flag, [one.flags[flag] for one in shown]) for flag in report.flags],
    }
    return render(request, "agreement/by_model.html", context | _frame("by_model", form, scope))


@require_POST
@member(Role.REVIEWER)
def anew(request: ProjectRequest, page: str) -> HttpResponseBase:
    form = ScopeForm(request.GET, project=request.project)
    kept.forget(page, request.project, form.scope())
    return _again(request, page)


@require_POST
@member(Role.MANAGER)
def anew_board(request: ProjectRequest) -> HttpResponseBase:
    form = ScopeForm(request.GET, project=request.project)
    for method in boards.METHODS:
        kept.forget(f"leaderboard-{method}", request.project, form.scope())
    return _again(request, "leaderboard")


@require_POST
@member(Role.MANAGER)
def anew_by_model(request: ProjectRequest) -> HttpResponseBase:
    kept.forget("by_model", request.project, ScopeForm(request.GET, project=request.project).scope())
    return _again(request, "by_model")


def _again(request: ProjectRequest, page: str) -> HttpResponseBase:
    messages.success(request, "Counted anew.")
    return redirect(f"{reverse(page, args=[request.project.slug])}?{request.GET.urlencode()}")


def _only_asks(request: ProjectRequest) -> bool:
    """The page of one who waits asks whether it is there."""
    return "HX-Request" in request.headers


def _wait(request: ProjectRequest, page: str, *, is_ready: bool) -> HttpResponseBase:
    """A job is counting. The page asks by itself, and is loaded again when all is counted."""
    if is_ready:
        return HttpResponse(headers={"HX-Refresh": "true"})
    context = {
        "nav": "rankings",
        "tab": page,
        "address": request.get_full_path(),
        "num_rankings": kept.num_counted(request.project),
        "asked_at": kept.asked_at(request.project) or timezone.now(),
    }
    template = "agreement/parts/counting.html" if _only_asks(request) else "agreement/wait.html"
    return render(request, template, context, status=202)


def _frame(page: str, form: ScopeForm, scope: Scope) -> dict[str, Any]:
    return {"nav": "rankings", "tab": page, "form": form, "is_filtered": not scope.is_everything}


def _chosen(form: ScopeForm, name: str, choices: Sequence[Any]) -> Any:
    """The first choice where none, or an unknown one, was asked for."""
    asked = form.cleaned_data.get(name) if form.is_valid() else ""
    return asked if asked in choices else choices[0]


def _row(line: Line, ties: TieRule, label: str, person: User | None = None) -> Row:
    return Row(label=label, share=line.agreement[ties], line=line, person=person)


def _left_out(coverage: agreement.Coverage) -> list[str]:
    """What there is of these; a row of zeros is noise."""
    counts = [
        (coverage.num_alone, "of tasks that only one person ranked"),
        (coverage.num_without_order, "“none is acceptable”"),
        (coverage.num_surplus, "surplus"),
        (coverage.num_void, "void"),
        (coverage.num_replaced, "replaced by an edit"),
        (coverage.num_tests, "of qualification, known answers and hidden repeats"),
        (coverage.num_decisions, "by reviewers who decided"),
    ]
    return [f"{num:,} {words}" for num, words in counts if num]


def _tables(report: agreement.Report, ties: TieRule) -> list[tuple[str, str, list[Row]]]:
    """(title, head of the first column, rows) by what tasks are told apart by."""
    named = {
        ("By use case", "Use case"): [_row(line, ties, UseCase(line.key).label) for line in report.by["use_case"]],
        ("By language", "Language"): [_row(line, ties, str(line.key or NO_NAME)) for line in report.by["language"]],
        ("By data set", "Data set"): [_row(line, ties, str(line.key or NO_NAME)) for line in report.by["dataset"]],
        ("By number of responses", "Responses"): [
            _row(line, ties, str(line.key)) for line in report.by["num_responses"]
        ],
    }
    return [(title, first, rows) for (title, first), rows in named.items() if len(rows) > 1]


def _matrix(report: agreement.Report, ties: TieRule, people: dict[Any, User]) -> dict[str, Any]:
    """Labelers in the order of their table, numbered; a cell for every two who share a task."""
    shares = {line.key: _row(line, ties, "") for line in report.pairs}
    ids = [line.key for line in report.labelers if any(line.key in pair for pair in shares)]
    rows = [
        (number, people[one], [shares.get((one, other)) or shares.get((other, one)) for other in ids])
        for number, one in enumerate(ids, start=1)
    ]
    return {"rows": rows, "num_left_out": len(report.labelers) - len(ids)}


def _worst(request: HttpRequest, found: Sequence[agreement.WorstTask]) -> list[dict[str, Any]]:
    tasks = Task.objects.select_related("prompt").defer("prompt__messages").in_bulk([item.task_id for item in found])
    here = [item for item in found if item.task_id in tasks]  # a task may be gone since the report was made
    return [{"task": tasks[item.task_id], "item": item} for item in here[:NUM_WORST]]


def scale(figures: Iterable[Figure]) -> tuple[float, float]:
    """From the lowest end of an interval to the highest, with some air."""
    known = [(f.low if f.low is not None else f.value, f.high if f.high is not None else f.value) for f in figures]
    low = min((low for low, _ in known if low is not None), default=0.0)
    high = max((high for _, high in known if high is not None), default=1.0)
    return low - 0.05 * (high - low), high + 0.05 * (high - low)
