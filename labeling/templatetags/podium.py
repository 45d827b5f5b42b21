"""Template tags of the frame: times, numbers, small figures, pages of a list.

{{ run.created_at|ago }}          <time> "3 min ago", the exact time on hover
{{ seconds|duration }}            "1 h 05 min", "42 s"
{{ 1234567|number }} 1,234,567    {{ 0.1234|percent }} 12.3 %     {{ 1234567|compact }} 1.2 M
{% bar value max %}               a small horizontal bar          {% sparkline values %}
{{ text|markdown }}               safe HTML, inside class="prose"
{% pagination page_obj %}         previous and next that keep the filters
{% query page=2 sort=None %}      the address's query with changes
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import template
from django.template.context import RequestContext
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from labeling.services import rendering

register = template.Library()
STEPS = [(60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h"), (86_400 * 14, 86_400, "d")]
NOTHING = "–"


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """Relative within two weeks, then the date; the exact time on hover."""
    if not moment:
        return NOTHING
    exact = date_format(timezone.localtime(moment), "j M Y, H:i:s") + " " + timezone.localtime(moment).strftime("%Z")
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, _relative(moment))


def _relative(moment: datetime) -> str:
    distance = (timezone.now() - moment).total_seconds()
    if abs(distance) < 10:
        return "just now"
    for limit, unit, name in STEPS:
        if abs(distance) < limit:
            amount = f"{round(abs(distance) / unit)} {name}"
            return f"{amount} ago" if distance > 0 else f"in {amount}"
    return date_format(timezone.localtime(moment), "j M Y")


@register.filter
def duration(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@register.filter
def number(value: Any, decimals: int = 0) -> str:
    return NOTHING if value is None or value == "" else f"{value:,.{decimals}f}".replace("-", "−")


@register.filter
def percent(share: Any, decimals: int = 1) -> str:
    return NOTHING if share is None or share == "" else f"{share * 100:.{decimals}f} %".replace("-", "−")


@register.filter
def compact(value: float | None) -> str:
    """1,234,567 as 1.2 M."""
    if value is None:
        return NOTHING
    for limit, name in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1000 if name == 'k' else limit):.1f} {name}"
    return f"{value:,}"


@register.filter
def markdown(text: str | None) -> SafeString:
    return mark_safe(rendering.to_html(text or ""))  # noqa: S308  # cleaned by nh3 in the service


@register.simple_tag
def bar(value: float, maximum: float, width: int = 96) -> SafeString:
    """Attributes only: the policy forbids inline styles."""
    share = max(0.0, min(1.0, float(value) / float(maximum))) if maximum else 0.0
    return format_html(
        '<svg class="bar" width="{}" height="8" viewBox="0 0 {} 8" role="img" aria-label="{} %">'
        '<rect class="bar-track" width="{}" height="8" rx="4"/>'
        '<rect width="{}" height="8" rx="4" fill="currentColor"/></svg>',
        width, width, round(share * 100), width, f"{share * width:.1f}",
    )  # fmt: skip


@register.simple_tag
def sparkline(values: Iterable[float | None], width: int = 120, height: int = 28, label: str = "") -> SafeString:
    """A line over the known values, from their minimum to their maximum; gaps are skipped, not drawn as zero."""
    known = [(index, float(value)) for index, value in enumerate(values) if value is not None]
    if not known:
        return mark_safe('<span class="muted">–</span>')
    points = _scaled(known, width, height)
    words = label or f"from {known[0][1]:,.4g} to {known[-1][1]:,.4g}"
    last_x, last_y = points[-1]
    return format_html(
        '<svg class="sparkline" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<polyline points="{}" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round"/>'
        '<circle cx="{}" cy="{}" r="2.5" fill="currentColor"/></svg>',
        width, height, width, height, words, " ".join(f"{x},{y}" for x, y in points), last_x, last_y,
    )  # fmt: skip


def _scaled(known: list[tuple[int, float]], width: int, height: int) -> list[tuple[float, float]]:
    pad = 3
    first, last = known[0][0], known[-1][0]
    low, high = min(value for _, value in known), max(value for _, value in known)
    span_x, span_y = (last - first) or 1, (high - low) or 1
    return [
        (
            round(pad + (index - first) / span_x * (width - 2 * pad), 1),
            round(height - pad - (value - low) / span_y * (height - 2 * pad), 1),
        )
        for index, value in known
    ]


@register.inclusion_tag("parts/pagination.html", takes_context=True)
def pagination(context: RequestContext, page: Any, what: str = "") -> dict[str, Any]:
    return {"page": page, "what": what, "request": context.get("request")}


@register.simple_tag(takes_context=True)
def query(context: RequestContext, **changes: Any) -> str:
    """The current query string with changes; None takes a key away."""
    parameters = context["request"].GET.copy()
    for key, value in changes.items():
        if value is None:
            parameters.pop(key, None)
        else:
            parameters[key] = str(value)
    return f"?{parameters.urlencode()}"
