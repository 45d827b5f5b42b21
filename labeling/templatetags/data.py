"""Filters of the pages of prompts, tasks and rankings."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import template

from labeling.models import Ranking, Split, UseCase
from labeling.services import orders

register = template.Library()


@register.filter
def at(values: Mapping[Any, Any], key: Any) -> Any:
    """{{ counts|at:prompt.pk }}: a mapping's value, or what it has for missing keys."""
    return values.get(key, 0)


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
