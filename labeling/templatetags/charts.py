"""Small charts drawn on the server: shapes and classes, no script and no inline style.

{% day_bars days "Tasks" %}     one bar a day, today last; `days` have `day` and `num`
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
