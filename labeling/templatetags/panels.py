"""Charts of the report, drawn on the server: rows on one scale, the paper's own value beside each.

{% panel_chart chart %}     `chart` is one of services.panels: bars from zero, or a dot with its interval
{{ missing|missing_address:slug }}   the page on which one gets what is lacking
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django import template
from django.template.context import RequestContext
from django.urls import reverse

from labeling.services.agreement import Figure
from labeling.services.panels.drawn import Chart, Line, Missing, Printed, Source
from labeling.templatetags.figures import plain, plain_interval, share, share_interval

register = template.Library()
WIDTH, HEIGHT, PAD = 360, 22, 6
MIDDLE, PRINTED = 9, 18  # the own figure, and below it the paper's
#: Decimals of figures that are no shares.
DECIMALS: Final = {"number": 2, "nats": 3, "tokens": 1, "characters": 0, "count": 0}
NEVER_BELOW_NOTHING: Final = ("tokens", "characters", "count")  # though the interval of a mean may be
LEAST_SPAN: Final = 0.2  # of shares: less would make noise look like news


@dataclass(frozen=True)
class Scale:
    """From a figure to a place across."""

    lowest: float
    highest: float

    def x(self, value: float | None) -> float | None:
        if value is None:
            return None
        within = (max(self.lowest, min(self.highest, value)) - self.lowest) / (self.highest - self.lowest)
        return round(PAD + within * (WIDTH - 2 * PAD), 1)


@register.inclusion_tag("panels/parts/chart.html", takes_context=True)
def panel_chart(context: RequestContext, chart: Chart) -> dict[str, Any]:
    scale, slug = scale_of(chart), context["project"].slug
    rows = [_row(line, chart, scale, slug) for line in chart.lines]
    sources = {row["address"] for row in rows}
    places = {line.paper.where for line in chart.lines if line.paper}
    return {
        "chart": chart,
        "rows": rows,
        "one_source": rows[0] if len(sources) == 1 else None,  # said once, above the rows
        "one_place": next(iter(places)) if len(places) == 1 else "",
        "width": WIDTH,
        "height": HEIGHT,
        "middle": MIDDLE,
        "printed": PRINTED,
        "start": PAD,
        "end": WIDTH - PAD,
        "mark": scale.x(chart.mark),
        "ends": [_end(scale.lowest, chart), _end(scale.highest, chart)],
    }


@register.filter
def missing_address(missing: Missing, slug: str) -> str:
    query = f"?{urlencode(missing.query)}" if missing.query else ""
    return reverse(missing.page, args=[slug, *missing.args]) + query


def source_address(source: Source, slug: str) -> str:
    return reverse(source.page, args=[slug, *([source.uid] if source.uid else [])])


def scale_of(chart: Chart) -> Scale:
    """All of it is seen; bars begin at zero; shares end at round tenths."""
    ends = list(_ends(chart))
    lowest, highest = min(ends), max(ends)
    if chart.is_bars:
        lowest = 0.0
    if chart.unit == "share":
        return Scale(*whole_tenths(lowest, highest))
    if chart.is_bars:
        return Scale(lowest, highest or 1.0)
    margin = 0.08 * (highest - lowest) or 0.05 * max(1.0, abs(highest))
    is_signed = lowest < 0 and chart.unit not in NEVER_BELOW_NOTHING
    return Scale(lowest - margin if is_signed else max(0.0, lowest - margin), highest + margin)


def said(figure: Figure, chart: Chart) -> str:
    if chart.unit == "share":
        return share(figure)
    return plain(figure, DECIMALS[chart.unit])


def _end(value: float, chart: Chart) -> str:
    return f"{100 * value:.0f} %" if chart.unit == "share" else said(Figure(value), chart)


def whole_tenths(lowest: float, highest: float) -> tuple[float, float]:
    """The ends of a scale of shares: round, and never below nothing or above all."""
    low, high = math.floor(lowest * 10 + 1e-9) / 10, math.ceil(highest * 10 - 1e-9) / 10
    while high - low < LEAST_SPAN - 1e-9:
        low, high = max(0.0, low - 0.1), min(1.0, high + 0.1)
    return low, high


def _ends(chart: Chart) -> Iterator[float]:
    """The paper's sizes are not on the scale of bars: they would leave nothing of a small project to see."""
    values: list[Iterable[float | None]] = [(chart.mark,)]
    for line in chart.lines:
        values.append((line.figure.value, line.figure.low, line.figure.high))
        if line.paper and chart.unit != "count":
            values.append((line.paper.value, line.paper.low, line.paper.high))
    yield from (value for part in values for value in part if value is not None)


def _row(line: Line, chart: Chart, scale: Scale, slug: str) -> dict[str, Any]:
    figure, paper = line.figure, line.paper if chart.unit != "count" else None
    return {
        "line": line,
        "said": said(figure, chart),
        "interval": _interval(figure, chart),
        "x": scale.x(figure.value),
        "low": scale.x(figure.low),
        "high": scale.x(figure.high),
        "paper_x": scale.x(paper.value) if paper else None,
        "paper_low": scale.x(paper.low) if paper else None,
        "paper_high": scale.x(paper.high) if paper else None,
        "paper_said": _printed(line.paper, chart) if line.paper else "",
        "address": source_address(line.source, slug) if line.source else "",
    }


def _interval(figure: Figure, chart: Chart) -> str:
    return share_interval(figure) if chart.unit == "share" else plain_interval(figure, DECIMALS[chart.unit])


def _printed(paper: Printed, chart: Chart) -> str:
    """“72.4 ± 0.4 %”, as the paper prints it."""
    if paper.low is None or paper.high is None or chart.unit != "share":
        return said(Figure(paper.value), chart)
    return f"{100 * paper.value:.1f} ± {50 * (paper.high - paper.low):.1f} %"
