"""Times, numbers and small figures of the templates."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.paginator import Paginator
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from labeling.templatetags import podium


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(seconds=42), "42 s ago"),
        (timedelta(minutes=3), "3 min ago"),
        (timedelta(hours=5), "5 h ago"),
        (timedelta(days=9), "9 d ago"),
        (timedelta(hours=-72, seconds=1), "in 3 d"),
    ],
)
def test_times_are_relative_with_the_exact_one_on_hover(distance: timedelta, expected: str) -> None:
    moment = timezone.now() - distance
    tag = podium.ago(moment)
    assert f">{expected}</time>" in tag
    assert f'datetime="{moment.isoformat()}"' in tag
    assert f'title="{moment.day} {moment:%b %Y, %H:%M:%S} UTC"' in tag


def test_a_time_of_long_ago_is_a_date_and_none_is_a_dash() -> None:
    moment = timezone.now() - timedelta(days=40)
    assert f">{moment.day} {moment:%b %Y}</time>" in podium.ago(moment)
    assert podium.ago(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "–"), (0, "0 s"), (42.4, "42 s"), (60, "1 min 00 s"), (3599.6, "1 h 00 min"), (3900, "1 h 05 min")],
)
def test_durations(seconds: float | None, expected: str) -> None:
    assert podium.duration(seconds) == expected


@pytest.mark.parametrize(
    ("filter_", "value", "expected"),
    [
        (podium.number, 1234567, "1,234,567"),
        (podium.number, None, "–"),
        (podium.number, "", "–"),
        (podium.number, -1234, "−1,234"),
        (podium.percent, -0.05, "−5.0 %"),
        (podium.percent, 0.726, "72.6 %"),
        (podium.percent, 0, "0.0 %"),
        (podium.percent, None, "–"),
        (podium.compact, 999, "999"),
        (podium.compact, 12_345, "12.3 k"),
        (podium.compact, 1_234_567, "1.2 M"),
        (podium.compact, None, "–"),
    ],
)
def test_numbers(filter_: Any, value: Any, expected: str) -> None:
    assert filter_(value) == expected


def test_a_bar_is_as_long_as_its_share_and_never_longer() -> None:
    assert 'width="24.0"' in podium.bar(1, 4)
    assert 'width="96.0"' in podium.bar(9, 4)
    assert 'width="0.0"' in podium.bar(3, 0)
    assert "style" not in podium.bar(1, 4)


def test_a_sparkline_runs_from_corner_to_corner_and_skips_gaps() -> None:
    line = podium.sparkline([0, None, 10], width=106, height=26)
    assert 'points="3.0,23.0 103.0,3.0"' in line
    assert 'aria-label="from 0 to 10"' in line
    assert "style" not in line
    assert "–" in podium.sparkline([None])
    assert "polyline" in podium.sparkline([5])


def test_pages_keep_the_filters() -> None:
    request = RequestFactory().get("/", {"q": "tea & milk", "page": "2"})
    page = Paginator(range(120), 50).page(2)
    html = Template("{% load podium %}{% pagination page 'prompts' %}").render(
        Context({"page": page, "request": request})
    )
    assert 'href="?q=tea+%26+milk&amp;page=1"' in html
    assert 'href="?q=tea+%26+milk&amp;page=3"' in html
    assert "51–100 of 120 prompts" in html


def test_one_page_has_no_pages() -> None:
    request = RequestFactory().get("/")
    html = Template("{% load podium %}{% pagination page %}").render(
        Context({"page": Paginator([1], 50).page(1), "request": request})
    )
    assert html.strip() == ""
