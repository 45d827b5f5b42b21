"""Pages of rounds: where each stands, and what it waits for."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from labeling.forms.runs import RoundForm
from labeling.models import Evaluation, Role, Round
from labeling.permissions import ProjectRequest, member
from labeling.services import round_history, rounds, stations

PER_PAGE = 30
WITH = ("created_by", "policy_before", "sft_run", "reward_run", "ppo_run", "generate_run",
        "sft_snapshot__same_as", "reward_snapshot__same_as", "prompts_snapshot__same_as")  # fmt: skip


@require_GET
@member(Role.REVIEWER)
def show_all(request: ProjectRequest) -> HttpResponse:
    return _list(request, RoundForm(), status=200)


@require_POST
@member(Role.MANAGER)
def start(request: ProjectRequest) -> HttpResponse:
    form = RoundForm(request.POST)
    if not form.is_valid():
        return _list(request, form, status=422)
    try:
        started = rounds.start(project=request.project, user=request.user, **form.cleaned_data)
    except rounds.RoundError as error:
        messages.error(request, str(error))
        return redirect("rounds", request.project.slug)
    return redirect("round", request.project.slug, started.uid)


@require_GET
@member(Role.REVIEWER)
def show(request: ProjectRequest, uid: str) -> HttpResponse:
    round = _get(request, uid)
    context = {
        "nav": "rounds",
        "round": round,
        "stations": stations.of(round),
        "run": rounds.current_run(round),
        "evaluation": Evaluation.objects.filter(round=round).first() if request.role == Role.MANAGER else None,
        "is_live": round.state == Round.State.RUNNING,
    }
    is_part = bool(request.headers.get("HX-Request"))
    return render(request, "rounds/parts/state.html" if is_part else "rounds/show.html", context)


@require_POST
@member(Role.MANAGER)
def change(request: ProjectRequest, uid: str, action: str) -> HttpResponse:
    round = _get(request, uid)
    try:
        if action == "proceed":
            rounds.proceed(round)
        elif action == "retry":
            rounds.retry(round, user=request.user)
        else:
            rounds.cancel(round, user=request.user)
    except rounds.RoundError as error:
        messages.error(request, str(error))
    return redirect("round", request.project.slug, round.uid)


def _list(request: ProjectRequest, form: RoundForm, *, status: int) -> HttpResponse:
    found = Round.objects.filter(project=request.project).select_related("ppo_run__model", "created_by")
    context = {
        "nav": "rounds",
        "page": Paginator(found, PER_PAGE).get_page(request.GET.get("page")),
        "form": form,
        "has_live": _has_live(request),
        "charts": _charts(request),
    }
    return render(request, "rounds/list.html", context, status=status)


def _charts(request: ProjectRequest) -> list[round_history.Chart]:
    """Who wins by people's judgement is for managers: everybody else ranks blind."""
    won = [round_history.human_win_rates(request.project)] if request.role == Role.MANAGER else []
    return [*(chart for chart in won if chart.lines), *round_history.of_project(request.project)]


def _has_live(request: ProjectRequest) -> bool:
    return Round.objects.filter(project=request.project, state__in=[Round.State.RUNNING, Round.State.WAITING]).exists()


def _get(request: ProjectRequest, uid: str) -> Round:
    return get_object_or_404(Round.objects.select_related(*WITH), project=request.project, uid=uid)
