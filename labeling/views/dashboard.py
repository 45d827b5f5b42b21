"""A project's first page for managers and reviewers."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from labeling.forms.runs import RoundForm
from labeling.models import Role, Round
from labeling.permissions import ProjectRequest, member
from labeling.services import dashboard
from labeling.views.run_tabs import accuracies


@require_GET
@member(Role.REVIEWER)
def show(request: ProjectRequest) -> HttpResponse:
    """Its live part is asked for every few seconds."""
    context = _live(request)
    if request.headers.get("HX-Request"):
        return render(request, "dashboard/parts/live.html", context)
    num_rankings = next(station.num for station in context["stations"] if station.page == "rankings")
    return render(request, "dashboard/show.html", context | _week(request, num_rankings) | {"form": RoundForm()})


def _live(request: ProjectRequest) -> dict[str, Any]:
    newest = dashboard.newest_round(request.project)
    suggestion = dashboard.suggest(request.project)
    return {
        "nav": "dashboard",
        "stations": dashboard.stations(request.project),
        "runs": dashboard.live_runs(request.project),
        "round": newest,
        "round_is_live": bool(newest and newest.state in (Round.State.RUNNING, Round.State.WAITING)),
        "suggestion": suggestion,
        "suggestion_url": suggestion.page
        and reverse(suggestion.page, args=[request.project.slug, *suggestion.arguments]),
    }


def _week(request: ProjectRequest, num_rankings: int) -> dict[str, Any]:
    days = dashboard.week(request.project)
    newest = dashboard.newest_reward_report(request.project)
    return {
        "days": days,
        "most": max(day.num_rankings for day in days),
        "agreement": dashboard.agreement_of(request.project, num=num_rankings),
        "num_this_week": sum(day.num_rankings for day in days),
        "reward_model": newest[0] if newest else None,
        "accuracies": accuracies(newest[1]) if newest else [],
    }
