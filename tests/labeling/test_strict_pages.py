"""No page holds inline code or asks another host for anything, and every colour can be read."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from tests.labeling.conftest import People

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
STYLES = sorted((ROOT / "static").rglob("*.css"))
SCRIPTS = sorted((ROOT / "static").rglob("*.js"))
COMMENT = re.compile(r"{#.*?#}|{% comment.*?endcomment %}|<!--.*?-->", re.S)
# Data for a script is no script: the policy does not apply to it, and nothing runs it.
INLINE_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>", re.I)
INLINE_STYLE = re.compile(r"<style\b|\sstyle\s*=", re.I)
HANDLER = re.compile(r"<[^>]+\s(on[a-z]+|hx-on[\w:-]*)\s*=|javascript:", re.I)
OTHER_HOST = re.compile(
    r"(?:src|href|action|url\(|@import|fetch\(|import)\s*[=(]?\s*[\"'(]?\s*(?:https?:)?//[\w.-]+", re.I
)


def found(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    texts = ((file, COMMENT.sub("", file.read_text())) for file in files)
    return [f"{file.relative_to(ROOT)}: {match[0]}" for file, text in texts for match in pattern.finditer(text)]


def test_there_is_something_to_look_at() -> None:
    assert len(TEMPLATES) > 30
    assert STYLES
    assert SCRIPTS


@pytest.mark.parametrize("pattern", [INLINE_SCRIPT, INLINE_STYLE, HANDLER], ids=["script", "style", "handler"])
def test_no_template_has_inline_code(pattern: re.Pattern[str]) -> None:
    assert found(pattern, TEMPLATES) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (INLINE_SCRIPT, "<script>x()</script>"),
        (INLINE_SCRIPT, '<script type="module" nonce="{{ n }}">'),
        (INLINE_STYLE, '<p style="color: red">'),
        (INLINE_STYLE, "<style>p{}</style>"),
        (HANDLER, '<a onclick="x()">'),
        (HANDLER, '<a href="javascript:x()">'),
        (HANDLER, '<a hx-on:click="x()">'),
        (OTHER_HOST, '<script src="https://cdn.example.org/x.js">'),
        (OTHER_HOST, '<img src="//cdn.example.org/x.png">'),
        (OTHER_HOST, '@import "https://fonts.example.org/x.css"'),
        (OTHER_HOST, "background: url(https://example.org/x.png)"),
    ],
)
def test_the_scan_would_find(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


def test_no_file_of_ours_names_another_host() -> None:
    assert found(OTHER_HOST, [*TEMPLATES, *STYLES, *SCRIPTS]) == []


def test_no_template_calls_text_safe_that_is_not() -> None:
    assert found(re.compile(r"\|\s*safe(seq)?\b|{%\s*autoescape off"), TEMPLATES) == []


@pytest.mark.parametrize("address", ["/accounts/login/", "/projects/", "/p/tea/people/", "/p/none/people/", "/join/x/"])
def test_every_answer_carries_the_policy(people: People, client: Client, address: str) -> None:
    client.force_login(people.manager)
    answer = client.get(address, follow=True)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"


# Colours: WCAG 2.2 AA, 4.5 to 1 for text, 3 to 1 for the edges of controls.

TEXT_ON_GROUND = [
    *product(
        ["text", "text-2", "accent", "accent-strong", "failed", "done", "attention", "running"], ["bg", "surface"]
    ),
    *product(["text", "text-2", "accent"], ["surface-2"]),
    *product(["text", "text-2", "accent", "accent-strong"], ["accent-soft"]),
    *((state, f"{state}-soft") for state in ("done", "attention", "failed", "running")),
    *product(["text"], ["done-soft", "attention-soft", "failed-soft", "running-soft"]),
    ("on-accent", "accent-fill"),
    ("on-accent", "accent-fill-strong"),
    ("on-accent", "failed-fill"),
]
EDGES = [
    *product(["line-strong", "accent"], ["bg", "surface"]),
    *product([f"chart-{number}" for number in range(1, 7)], ["surface"]),
]


def tokens() -> dict[str, list[str]]:
    """Each colour with its value in light and in dark."""
    css = (ROOT / "static/css/base.css").read_text()
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", css)
    single = re.findall(r"--([\w-]+): (#\w{6});", css)
    return {name: [light, dark] for name, light, dark in pairs} | {name: [both, both] for name, both in single}


def contrast(one: str, other: str) -> float:
    """WCAG's: the ratio of the relative luminances."""

    def luminance(colour: str) -> float:
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize(("pairs", "least"), [(TEXT_ON_GROUND, 4.5), (EDGES, 3.0)], ids=["text", "edges"])
def test_colours_are_readable_in_light_and_dark(pairs: list[tuple[str, str]], least: float) -> None:
    known: dict[str, Any] = tokens()
    faint = [
        f"{front} on {ground} in {theme}: {ratio:.2f}"
        for front, ground in pairs
        for theme, a, b in zip(("light", "dark"), known[front], known[ground], strict=True)
        if (ratio := contrast(a, b)) < least
    ]
    assert faint == []


def test_other_style_sheets_take_their_colours_from_the_tokens() -> None:
    """A colour written elsewhere would not follow the theme. White and black with an alpha may (shadows, scrims)."""
    others = [file for file in STYLES if file.name != "base.css"]
    assert found(re.compile(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*;)|\b(?:hsl|oklch)a?\("), others) == []
