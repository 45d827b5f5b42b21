"""Figures as words and as drawings: what is unknown is a dash, minus is a minus, dots lie where the numbers say."""

from dataclasses import dataclass

import pytest

from labeling.services.agreement import Figure
from labeling.templatetags import figures


@dataclass
class Row:
    label: str
    share: Figure


KNOWN, UNKNOWN = Figure(0.726, 0.711, 0.741), Figure(None, why_not="nobody")


def test_figures_in_words() -> None:
    assert (figures.share(KNOWN), figures.share_interval(KNOWN)) == ("72.6 %", "71.1 to 74.1 %")
    assert (figures.share(UNKNOWN), figures.share_interval(UNKNOWN), figures.plain(None)) == ("–", "", "–")
    assert (figures.points(Figure(0.031)), figures.points(Figure(-0.031))) == ("+3.1", "−3.1")
    assert figures.plain(Figure(-0.001)) == "0.00"
    assert figures.plain_interval(Figure(0.0, -0.101, 0.1)) == "−0.10 to 0.10"


@pytest.mark.parametrize(
    ("share", "name"), [(0.2, "heat-0"), (0.5, "heat-0"), (0.74, "heat-4"), (1.0, "heat-9"), (None, "heat-none")]
)
def test_heat_is_ten_steps_from_a_half_to_the_whole(share: float | None, name: str) -> None:
    assert figures.heat(Figure(share)) == name


def test_an_interval_is_drawn_to_scale_and_never_beyond_its_ends() -> None:
    drawn = figures.interval_bar(Figure(0.5, 0.25, 1.5), 0.0, 1.0, mark=0.0)
    width = drawn["end"] - drawn["start"]
    assert drawn["value"] - drawn["start"] == pytest.approx(width / 2)
    assert drawn["low"] - drawn["start"] == pytest.approx(width / 4, abs=0.1)
    assert (drawn["high"], drawn["mark"]) == (drawn["end"], drawn["start"])
    assert figures.interval_bar(UNKNOWN, 0, 1)["value"] is None


def test_a_week_without_a_figure_has_no_dot_and_keeps_its_place() -> None:
    rows = [Row("1 Jun", KNOWN), Row("8 Jun", UNKNOWN), Row("15 Jun", Figure(0.35, 0.3, 0.4))]
    drawn = figures.trend(rows)
    assert [dot["row"].label for dot in drawn["dots"]] == ["1 Jun", "15 Jun"]
    assert [label for _, label in drawn["labels"]] == ["1 Jun", "8 Jun", "15 Jun"]
    first, last = drawn["dots"]
    assert first["y"] < last["y"]  # higher is better, and svg counts from above
    assert last["high"] < last["y"] < last["low"]
    assert drawn["grid"][0][1] == "30 %"
    assert drawn["grid"][-1] == (12.0, "100 %")
    assert figures.trend([Row("1 Jun", KNOWN)])["dots"]
