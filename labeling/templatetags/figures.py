"""Figures with their intervals, drawn on the server: shapes, classes and numbers, no script and no inline style.

{{ figure|share }}                         “72.6 %”            {{ figure|share_interval }}   “71.1 to 74.0 %”
{{ figure|plain }}                         “0.61”              {{ figure|plain_interval }}   “0.55 to 0.67”
{% interval_bar figure 0 1 mark=0.5 %}     a line from end to end with a dot, on a scale from 0 to 1
{% trend rows %}                           the share by week, with intervals
{{ figure|heat }}                          a class from heat-0 (50 % or less) to heat-9
"""

from collections.abc import Sequence
from typing import Any

from django import template

from labeling.services.agreement import Figure

register = template.Library()
NOTHING = "–"
BAR_WIDTH, BAR_HEIGHT, PAD = 120, 16, 5
TREND_WIDTH, TREND_HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 220, 60, 12, 12, 28
NUM_LABELS = 8


@register.filter
def share(figure: Figure | None) -> str:
    return NOTHING if figure is None or figure.value is None else _percent(figure.value)


@register.filter
def share_bare(figure: Figure | None) -> str:
    """For cells of a table that says “in %”."""
    return NOTHING if figure is None else bare_percent(figure.value)


@register.filter
def bare_percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.0f}"


@register.filter
def share_interval(figure: Figure | None) -> str:
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"{_signed(100 * figure.low, 1)} to {_signed(100 * figure.high, 1)} %"


@register.filter
def plain(figure: Figure | None, decimals: int = 2) -> str:
    return NOTHING if figure is None or figure.value is None else _signed(figure.value, decimals)


@register.filter
def plain_interval(figure: Figure | None, decimals: int = 2) -> str:
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"{_signed(figure.low, decimals)} to {_signed(figure.high, decimals)}"


@register.filter
def points(figure: Figure | None) -> str:
    """A difference of shares, in points: “+3.1”."""
    if figure is None or figure.value is None:
        return NOTHING
    return f"{'+' if figure.value > 0 else ''}{_signed(100 * figure.value, 1)}"


@register.filter
def points_interval(figure: Figure | None) -> str:
    if figure is None or figure.low is None or figure.high is None:
        return ""
    return f"{_signed(100 * figure.low, 1)} to {_signed(100 * figure.high, 1)}"


@register.filter
def heat(value: Figure | float | None) -> str:
    """Ten steps from a half to the whole; below a half is as pale as a half."""
    known = value.value if isinstance(value, Figure) else value
    return "heat-none" if known is None else f"heat-{max(0, min(9, int((known - 0.5) * 20)))}"


@register.filter
def heat_around_half(value: float | None) -> str:
    """Ten steps from never to always."""
    return "heat-none" if value is None else f"heat-{max(0, min(9, int(value * 10)))}"


@register.inclusion_tag("agreement/parts/interval_bar.html")
def interval_bar(
    figure: Figure | None, lowest: float, highest: float, mark: float | None = None, width: int = BAR_WIDTH
) -> dict[str, Any]:
    """`mark` is what to compare with: chance, or nothing at all."""

    def x(value: float | None) -> float | None:
        if value is None:
            return None
        within = (max(lowest, min(highest, value)) - lowest) / ((highest - lowest) or 1)
        return round(PAD + within * (width - 2 * PAD), 1)

    known = figure or Figure(None)
    return {
        "width": width,
        "height": BAR_HEIGHT,
        "middle": BAR_HEIGHT / 2,
        "start": PAD,
        "end": width - PAD,
        "value": x(known.value),
        "low": x(known.low),
        "high": x(known.high),
        "mark": x(mark),
    }


@register.inclusion_tag("agreement/parts/trend.html")
def trend(rows: Sequence[Any]) -> dict[str, Any]:
    """Rows with `label` and `share`. Weeks in which nothing is defined stay empty and break the line."""
    lowest, highest = _range([row.share for row in rows])
    dots = [
        {
            "x": _x(place, len(rows)),
            "y": _y(row.share.value, lowest, highest),
            "low": _y(row.share.low, lowest, highest),
            "high": _y(row.share.high, lowest, highest),
            "row": row,
        }
        for place, row in enumerate(rows)
        if row.share.value is not None
    ]
    every = max(1, -(-len(rows) // NUM_LABELS))
    grid = [step / 10 for step in range(round(lowest * 10), 11)]
    return {
        "width": TREND_WIDTH,
        "height": TREND_HEIGHT,
        "left": LEFT,
        "right": TREND_WIDTH - RIGHT,
        "foot": TREND_HEIGHT - 8,
        "dots": dots,
        "line": " ".join(f"{dot['x']},{dot['y']}" for dot in dots),
        "grid": [(_y(value, lowest, highest), f"{100 * value:.0f} %") for value in grid],
        "labels": [(_x(place, len(rows)), row.label) for place, row in enumerate(rows) if place % every == 0],
    }


def _range(figures: Sequence[Figure]) -> tuple[float, float]:
    """Steps of 10 points that hold every interval; at least from 50 to 100 %."""
    ends = [end for figure in figures for end in (figure.low, figure.high, figure.value) if end is not None]
    lowest = min([0.5, *ends])
    return int(lowest * 10) / 10, 1.0


def _x(place: int, num: int) -> float:
    inside = TREND_WIDTH - LEFT - RIGHT - 60  # half of a date fits at either end
    return round(LEFT + 30 + (inside / 2 if num == 1 else place / (num - 1) * inside), 1)


def _y(value: float | None, lowest: float, highest: float) -> float | None:
    if value is None:
        return None
    return round(TOP + (highest - value) / (highest - lowest) * (TREND_HEIGHT - TOP - BOTTOM), 1)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _signed(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")  # + 0.0: never “−0.00”
