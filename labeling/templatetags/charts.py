"""Small charts drawn on the server: shapes and classes, no script and no inline style.

{% day_bars days "Tasks" %}     one bar a day, today last; `days` have `day` and `num`
{% calibration_curve points %}  how often a model was right, over how sure it was; `points` have `predicted`, `observed`
                                and `num_pairs`
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django import template

from labeling.services.work_done import Day

register = template.Library()
HEIGHT = 100  # of the drawing's own units; the page stretches it
LEAST = 2  # a day with anything at all is seen
CURVE_SIZE, CURVE_LEFT, CURVE_TOP, CURVE_FOOT = 320, 48, 12, 36
LARGEST_DOT, SMALLEST_DOT = 11, 3


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    height: float
    day: date
    num: int
    is_weekend: bool


@register.inclusion_tag("parts/day_bars.html")
def day_bars(days: Sequence[Day], what: str) -> dict[str, Any]:
    most = max((day.num for day in days), default=0)
    return {
        "bars": [_bar(place, day, most) for place, day in enumerate(days)],
        "num_days": len(days),
        "height": HEIGHT,
        "most": most,
        "total": sum(day.num for day in days),
        "first": days[0].day if days else None,
        "last": days[-1].day if days else None,
        "what": what,
    }


def _bar(place: int, day: Day, most: int) -> Bar:
    height = max(LEAST, day.num / most * HEIGHT) if day.num else 0
    return Bar(place + 0.12, round(HEIGHT - height, 2), round(height, 2), day.day, day.num, day.day.weekday() >= 5)


@register.inclusion_tag("runs/parts/calibration.html")
def calibration_curve(points: Sequence[Any]) -> dict[str, Any]:
    """A square from 50 to 100 % across and, where the model was often wrong, from less than that upwards. The area of a
    dot is its share of the pairs."""
    lowest = min([0.5, *(int(point.observed * 10) / 10 for point in points)])
    most = max((point.num_pairs for point in points), default=1)
    dots = [
        {
            "x": _across(point.predicted),
            "y": _up(point.observed, lowest),
            "radius": round(max(SMALLEST_DOT, LARGEST_DOT * (point.num_pairs / most) ** 0.5), 1),
            "point": point,
        }
        for point in points
    ]
    return {
        "size": CURVE_SIZE,
        "left": CURVE_LEFT,
        "right": CURVE_SIZE - CURVE_LEFT / 4,
        "foot": CURVE_SIZE - CURVE_FOOT + 18,
        "dots": dots,
        "line": " ".join(f"{dot['x']},{dot['y']}" for dot in dots),
        "ideal": {"x1": _across(0.5), "y1": _up(0.5, lowest), "x2": _across(1.0), "y2": _up(1.0, lowest)},
        "rows": [(_up(step / 10, lowest), f"{10 * step} %") for step in range(round(lowest * 10), 11)],
        "columns": [(_across(step / 10), f"{10 * step} %") for step in range(5, 11)],
    }


def _across(predicted: float) -> float:
    return round(CURVE_LEFT + (predicted - 0.5) * 2 * (CURVE_SIZE - CURVE_LEFT * 1.5), 1)


def _up(observed: float, lowest: float) -> float:
    return round(CURVE_TOP + (1 - observed) / (1 - lowest) * (CURVE_SIZE - CURVE_TOP - CURVE_FOOT), 1)
