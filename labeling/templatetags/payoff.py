"""Accuracy per number of rankings, drawn on the server.

{% payoff_chart curve %}    `curve` is services.scores.payoff.Curve: chosen and control, each with its interval
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from django import template

from labeling.services.agreement import Figure
from labeling.services.scores.payoff import Curve, Point

register = template.Library()
WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 360, 230, 46, 10, 10, 44
PAD: Final = 18  # half of a number's label
NUM_LABELS: Final = 5
APART: Final = 3  # the two whiskers of a number stand beside each other
STREAMS: Final = (("chosen", "Chosen", -APART), ("control", "Random control", APART))


@register.inclusion_tag("quality/parts/payoff_chart.html")
def payoff_chart(curve: Curve) -> dict[str, Any]:
    lowest, highest = _range([figure for point in curve.points for figure in (point.chosen, point.control)])
    numbers = [point.num_rankings for point in curve.points]
    every = -(-len(numbers) // NUM_LABELS)
    steps = round((highest - lowest) / _step(lowest, highest))
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "foot": HEIGHT - FOOT + 18,
        "caption": HEIGHT - 6,
        "lines": [_line(curve.points, name, label, shift, (lowest, highest)) for name, label, shift in STREAMS],
        "rows": [
            (_y(value, lowest, highest), f"{100 * value:.0f} %")
            for value in (lowest + (highest - lowest) * step / steps for step in range(steps + 1))
        ],
        "columns": [(_x(number, numbers), f"{number:,}") for number in numbers[::-every][::-1]],
    }


def _line(points: Sequence[Point], name: str, label: str, shift: int, ends: tuple[float, float]) -> dict[str, Any]:
    numbers = [point.num_rankings for point in points]
    dots = []
    for point in points:
        figure: Figure = getattr(point, name)
        x = _x(point.num_rankings, numbers) + shift
        places = {key: _y(getattr(figure, key), *ends) for key in ("value", "low", "high")}
        dots.append({"x": x, "figure": figure, "num": point.num_rankings, **places})
    return {"label": label, "dots": dots, "path": " ".join(f"{dot['x']},{dot['value']}" for dot in dots)}


def _range(figures: Sequence[Figure]) -> tuple[float, float]:
    """Whole steps of five points that hold every interval, and a half, which is chance."""
    ends = [end for figure in figures for end in (figure.low, figure.high, figure.value) if end is not None]
    return math.floor(20 * min(0.5, *ends)) / 20, math.ceil(20 * max(0.55, *ends)) / 20


def _step(lowest: float, highest: float) -> float:
    return 0.05 if highest - lowest < 0.31 else 0.1 if round((highest - lowest) * 20) % 2 == 0 else 0.05


def _x(number: int, numbers: Sequence[int]) -> float:
    """Doublings are equally far apart."""
    span = math.log(numbers[-1] / numbers[0])
    share = math.log(number / numbers[0]) / span if span else 0.5
    return round(LEFT + PAD + share * (WIDTH - LEFT - RIGHT - 2 * PAD), 1)


def _y(value: float | None, lowest: float, highest: float) -> float | None:
    if value is None:
        return None
    return round(TOP + (highest - value) / (highest - lowest) * (HEIGHT - TOP - FOOT), 1)
