"""The report: the paper's panels for one's own project, as a page and as JSON. It names models, so managers alone."""

from typing import Any

from django.http import HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from labeling.models import Role
from labeling.permissions import ProjectRequest, member
from labeling.services import panels
from labeling.services.panels import paper
from labeling.templatetags.panels import missing_address, source_address
from labeling.views.downloads import attached


@require_safe
@member(Role.MANAGER)
def show(request: ProjectRequest) -> HttpResponseBase:
    context = {"nav": "report", "report": panels.of_project(request.project), "paper": paper.PAPER}
    return render(request, "panels/show.html", context)


@require_safe
@member(Role.MANAGER)
def as_json(request: ProjectRequest) -> HttpResponseBase:
    """Every figure with its interval, its source and the paper's value."""
    report = panels.of_project(request.project)
    values = {
        "project": request.project.name,
        "made_at": timezone.localtime(report.made_at).isoformat(),
        "paper": paper.PAPER,
        "panels": [_panel(request, panel) for panel in report.panels],
    }
    answer = JsonResponse(values, json_dumps_params={"indent": 1, "ensure_ascii": False})
    return attached(answer, f"{request.project.slug}-report.json")


def _panel(request: ProjectRequest, panel: panels.Panel) -> dict[str, Any]:
    slug = request.project.slug
    return {
        "key": panel.key,
        "title": panel.title,
        "question": panel.question,
        "says": panel.says,
        "charts": [_chart(request, chart) for chart in panel.charts],
        "paper": [{"what": one.label, "values": dict(one.values), "where": one.where} for one in panel.paper],
        "caveats": panel.caveats,
        "missing": [
            {"text": one.text, "do": one.label, "url": request.build_absolute_uri(missing_address(one, slug))}
            for one in panel.missing
        ],
    }


def _chart(request: ProjectRequest, chart: panels.Chart) -> dict[str, Any]:
    return {
        "title": chart.title,
        "hint": chart.hint,
        "unit": chart.unit,
        "mark": chart.mark,
        "figures": [_figure(request, line) for line in chart.lines],
    }


def _figure(request: ProjectRequest, line: panels.Line) -> dict[str, Any]:
    source, printed = line.source, line.paper
    return {
        "label": line.label,
        "value": line.figure.value,
        "low": line.figure.low,
        "high": line.figure.high,
        "num": line.figure.num or None,
        "note": line.note or None,
        "source": source
        and {
            "label": source.label,
            "url": request.build_absolute_uri(source_address(source, request.project.slug)),
        },
        "paper": printed and {"value": printed.value, "low": printed.low, "high": printed.high, "where": printed.where},
    }
