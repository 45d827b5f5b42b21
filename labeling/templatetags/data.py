"""Filters of the pages of prompts, tasks and rankings."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString

from labeling.models import Ranking, Split, UseCase
from labeling.services import orders

register = template.Library()


@register.filter
def at(values: Mapping[Any, Any], key: Any) -> Any:
    """{{ counts|at:prompt.pk }}: a mapping's value, or what it has for missing keys."""
    return values.get(key, 0)


@register.filter
def marked(text: str, wanted: str) -> SafeString:
    """{{ line|marked:q }}: the text with every place that holds `wanted` marked, upper or lower case alike."""
    parts = re.split(f"({re.escape(wanted)})", text, flags=re.IGNORECASE) if wanted else [text]
    each = ((format_html("<mark>{}</mark>", part) if place % 2 else escape(part),) for place, part in enumerate(parts))
    return format_html_join("", "{}", each)


@register.filter
def order_in_words(ranking: Ranking) -> str:
    return orders.in_words(ranking.ranks)


@register.filter
def ranks_in_words(ranks: Sequence[int]) -> str:
    return orders.in_words(ranks)


@register.filter
def prompt_of(draft: Any) -> Any:
    """The prompt of any import's draft: of prompts, the draft itself."""
    return getattr(draft, "prompt", draft)


@register.filter
def use_case_label(value: str) -> str:
    return UseCase(value).label


@register.filter
def split_label(value: str) -> str:
    return Split(value).label
