"""Pages of human evaluations. For managers alone: everybody else ranks blind."""

from typing import Any, Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.forms.evaluations import EvaluationForm, HintForm, MoreForm, can_answer
from labeling.models import HELD_OUT, Evaluation, Model, Role
from labeling.permissions import ProjectRequest, member
from labeling.services import evaluations
from labeling.services.evaluations.more import DEFAULT_PERCENT
from labeling.services.evaluations.results import Report
from labeling.views.agreement import scale
from labeling.views.downloads import attached, csv_lines

PER_PAGE: Final = 30
ITEMS_PER_PAGE: Final = 25


@require_GET
@member(Role.MANAGER)
def show_all(request: ProjectRequest) -> HttpResponse:
    found = Evaluation.objects.filter(project=request.project).select_related("created_by")
    page = Paginator(found.prefetch_related("entrants__model"), PER_PAGE).get_page(request.GET.get("page"))
    rows = [(one, evaluations.results.of(one)) for one in page]
    context = {"nav": "rankings", "tab": "evaluations", "page": page, "rows": rows}
    return render(request, "evaluations/list.html", context)


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def create(request: ProjectRequest) -> HttpResponse:
    """“preview” says what it would cost, and begins nothing."""
    form = EvaluationForm(request.POST or None, project=request.project)
    cost = form.cost() if request.method == "POST" and form.is_valid() else None
    is_preview = request.POST.get("action") == "preview"
    if cost and form.wish and not is_preview:
        try:
            started = evaluations.start(form.wish, user=request.user)
        except evaluations.EvaluationError as error:
            form.add_error(None, str(error))
        else:
            return redirect("evaluation", request.project.slug, started.uid)
    context = {
        "nav": "rankings",
        "form": form,
        "cost": cost,
        "has_models": can_answer(request.project).count() > 1,
        "has_prompts": bool(form.fields["splits"].choices),  # type: ignore[attr-defined]
    }
    if request.headers.get("HX-Request"):
        return render(request, "evaluations/parts/cost.html", context)
    return render(request, "evaluations/new.html", context, status=422 if form.errors else 200)


@require_GET
@member(Role.MANAGER)
def show(request: ProjectRequest, uid: str) -> HttpResponse:
    evaluation = _get(request, uid)
    if request.headers.get("HX-Request"):
        return _progress(request, evaluation)
    report = evaluations.results.of(evaluation)
    context = _state(evaluation) | {
        "report": report,
        "uids": dict(Model.objects.filter(evaluations__evaluation=evaluation).values_list("pk", "uid")),
        "over_baseline": report.over_baseline(),
        "matrix": report.matrix(),
        "parts": [(part, scale(place.score for place in part.places)) for part in report.board.parts],
        "models": report.said.models,
        "rows": [(flag, [one.flags[flag] for one in report.said.models]) for flag in report.said.flags],
        "num_moved": evaluation.prompts.exclude(prompt__split__in=HELD_OUT).count(),
        **_hint(request, evaluation, report),
        **_items(request, evaluation, report),
    }
    return render(request, "evaluations/show.html", context)


@require_POST
@member(Role.MANAGER)
def change(request: ProjectRequest, uid: str, action: str) -> HttpResponse:
    evaluation = _get(request, uid)
    try:
        if action == "retry":
            evaluations.retry(evaluation, user=request.user)
        else:
            evaluations.cancel(evaluation, user=request.user)
    except evaluations.EvaluationError as error:
        messages.error(request, str(error))
    return redirect("evaluation", request.project.slug, evaluation.uid)


@require_POST
@member(Role.MANAGER)
def more(request: ProjectRequest, uid: str) -> HttpResponse:
    evaluation, form = _get(request, uid), MoreForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say how many more.")
        return redirect("evaluation", request.project.slug, evaluation.uid)
    asked = form.cleaned_data
    try:
        if asked["num_judgements"]:
            evaluations.more_judgements(evaluation, num=asked["num_judgements"], seen=asked["seen"])
            messages.success(request, f"{evaluation.num_wanted} judgements are wanted of each task now.")
        else:
            num = evaluations.more_prompts(evaluation, num=asked["num_prompts"] or 0, seen=asked["seen"])
            messages.success(request, f"{num:,} more prompts are drawn.")
    except evaluations.EvaluationError as error:
        messages.error(request, str(error))
    return redirect("evaluation", request.project.slug, evaluation.uid)


@require_GET
@member(Role.MANAGER)
def win_rates_csv(request: ProjectRequest, uid: str) -> StreamingHttpResponse:
    evaluation = _get(request, uid)
    lines = csv_lines(evaluations.tables.win_rates(evaluations.results.of(evaluation)))
    return _csv(lines, f"{evaluation.name} win rates.csv")


@require_GET
@member(Role.MANAGER)
def prompts_csv(request: ProjectRequest, uid: str) -> StreamingHttpResponse:
    evaluation = _get(request, uid)
    lines = csv_lines(evaluations.tables.prompts(evaluation, evaluations.results.of(evaluation)))
    return _csv(lines, f"{evaluation.name} prompts.csv")


def _progress(request: ProjectRequest, evaluation: Evaluation) -> HttpResponse:
    """The page of one who waits. Where more than numbers has changed, it is loaded once more."""
    context = _state(evaluation)
    if not context["is_live"] or request.GET.get("at") != evaluation.step:
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "evaluations/parts/state.html", context | {"report": evaluations.results.of(evaluation)})


def _state(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "nav": "rankings",
        "evaluation": evaluation,
        "is_live": evaluation.state == Evaluation.State.RUNNING,
        "is_judged": evaluation.step == Evaluation.Step.JUDGE,
        "can_cancel": evaluation.state in (Evaluation.State.RUNNING, Evaluation.State.FAILED),
        "runs": evaluations.runs_of_wave(evaluation),
        "num_drawn": evaluation.prompts.count(),
    }


def _hint(request: ProjectRequest, evaluation: Evaluation, report: Report) -> dict[str, Any]:
    form = HintForm(request.GET if "percent" in request.GET else {"percent": DEFAULT_PERCENT})
    percent = form.cleaned_data["percent"] if form.is_valid() else DEFAULT_PERCENT
    return {"hint": evaluations.more.hint(evaluation, report, percent=percent), "hint_form": form}


def _items(request: ProjectRequest, evaluation: Evaluation, report: Report) -> dict[str, Any]:
    """Of the model that was asked for, or of the best one: the prompts on which it does worst."""
    others = [entrant for entrant, _ in report.over_baseline()]
    chosen = next((one for one in others if str(one.model_id) == request.GET.get("model")), others[0])
    place = report.entrants.index(chosen)
    found = evaluations.tables.worst(evaluation, report, model=place, rival=report.baseline)
    page = Paginator(found, ITEMS_PER_PAGE).get_page(request.GET.get("page"))
    return {"others": others, "chosen": chosen, "baseline": report.entrants[report.baseline], "page": page}


def _csv(lines: Any, filename: str) -> StreamingHttpResponse:
    return attached(StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8"), filename)


def _get(request: ProjectRequest, uid: str) -> Evaluation:
    found = Evaluation.objects.select_related("project", "created_by", "round", "snapshot")
    return get_object_or_404(found, project=request.project, uid=uid)
