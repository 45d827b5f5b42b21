"""Figures by round, drawn on the server.

{% by_round chart %}    `chart` is one of services.round_history: a dot a round, whiskers where an interval is known
"""

from dataclasses import dataclass
from typing import Any, Final

from django import template

from labeling.services.round_history import Chart, Line, Point
from labeling.templatetags.panels import whole_tenths

register = template.Library()
WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 340, 190, 46, 12, 12, 26
NUM_LABELS: Final = 8


@dataclass(frozen=True)
class Scale:
    """From a round's number and a figure to places in the drawing."""

    rounds: tuple[int, int]
    figures: tuple[float, float]

    def x(self, number: int) -> float:
        first, last = self.rounds
        share = (number - first) / (last - first) if last > first else 0.5
        return round(LEFT + 10 + share * (WIDTH - LEFT - RIGHT - 20), 1)

    def y(self, value: float) -> float:
        lowest, highest = self.figures
        return round(HEIGHT - FOOT - (value - lowest) / (highest - lowest) * (HEIGHT - TOP - FOOT), 1)


@register.inclusion_tag("rounds/parts/by_round.html")
def by_round(chart: Chart) -> dict[str, Any]:
    points = [point for line in chart.lines for point in line.points]
    numbers = sorted({point.number for point in points})
    scale = Scale((numbers[0], numbers[-1]), _range(points, chart))
    every = max(1, -(-len(numbers) // NUM_LABELS))
    lowest, highest = scale.figures
    return {
        "chart": chart,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "lines": [_drawn(line, scale) for line in chart.lines],
        "rows": [(scale.y(value), said(value, chart)) for value in (lowest, (lowest + highest) / 2, highest)],
        "columns": [(scale.x(number), number) for number in numbers[::every]],
        "foot": HEIGHT - 8,
        "has_names": len(chart.lines) > 1,
    }


def said(value: float, chart: Chart) -> str:
    if chart.is_share:
        return f"{100 * value:.0f} %"
    return (f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}").replace("-", "−")


def _range(points: list[Point], chart: Chart) -> tuple[float, float]:
    """All of it is seen, and a flat line lies in the middle; shares end at round tenths."""
    ends = [end for point in points for end in (point.value, point.low, point.high) if end is not None]
    lowest, highest = min(ends), max(ends)
    if chart.is_share:
        return whole_tenths(lowest, highest)
    margin = 0.08 * (highest - lowest) or 0.05 * max(1.0, abs(highest))
    return lowest - margin, highest + margin


def _drawn(line: Line, scale: Scale) -> dict[str, Any]:
    dots = [
        {
            "x": scale.x(point.number),
            "y": scale.y(point.value),
            "low": None if point.low is None else scale.y(point.low),
            "high": None if point.high is None else scale.y(point.high),
            "point": point,
        }
        for point in line.points
    ]
    return {"name": line.name, "dots": dots, "path": " ".join(f"{dot['x']},{dot['y']}" for dot in dots)}
