"""Prompts that share a long beginning: of one text while it is written, and all of a project in groups.

What “near” means is the imports' own: the longer one's first 80 %, and no fewer than 100 characters, begin both.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.db.models import Count
from django.db.models.functions import MD5, Left, Right

from labeling.models import Project, Prompt
from labeling.models.prompts import PREFIX_CHARS
from labeling.services.imports.duplicates import beginning_of, is_near

MAX_CANDIDATES: Final = 200
MAX_GROUPS: Final = 100
MAX_IN_GROUP: Final = 50


ENDING_CHARS: Final = 80


@dataclass(frozen=True)
class Group:
    """Prompts near to the first of them, which is the oldest. Each has its `ending`: that is where they differ."""

    prompts: list[Prompt]
    is_cut: bool = False  # more prompts begin like these than were looked at

    @property
    def num(self) -> int:
        return len(self.prompts)


def of_text(*, project: Project, text: str, besides: Prompt | None = None) -> list[Prompt]:
    """Prompts in use that are near to this text."""
    if len(text) < PREFIX_CHARS:
        return []
    rows = Prompt.objects.in_use().filter(project=project).annotate(prefix=MD5(Left("text", PREFIX_CHARS)))
    found = rows.filter(prefix=beginning_of(text))
    if besides is not None:
        found = found.exclude(pk=besides.pk)
    return [prompt for prompt in found.order_by("pk")[:MAX_CANDIDATES] if is_near(prompt.text, text)]


def groups(*, project: Project) -> list[Group]:
    """Groups of prompts in use, the largest beginnings first. The index on the beginning finds them."""
    rows = Prompt.objects.in_use().filter(project=project, num_chars__gte=PREFIX_CHARS).order_by()
    shared = (
        rows.annotate(prefix=MD5(Left("text", PREFIX_CHARS)))
        .values("prefix")
        .annotate(num=Count("pk"))
        .filter(num__gt=1)
        .order_by("-num", "prefix")[:MAX_GROUPS]
    )
    found: list[Group] = []
    for beginning in shared:
        alike = rows.annotate(prefix=MD5(Left("text", PREFIX_CHARS))).filter(prefix=beginning["prefix"])
        prompts = list(
            alike.annotate(ending=Right("text", ENDING_CHARS)).defer("messages").order_by("pk")[:MAX_CANDIDATES]
        )
        found += [Group(group[:MAX_IN_GROUP], is_cut=beginning["num"] > MAX_CANDIDATES) for group in _split(prompts)]
    return sorted(found, key=lambda group: -group.num)


def _split(prompts: list[Prompt]) -> Iterator[list[Prompt]]:
    """Each prompt goes to the first group whose oldest it is near to."""
    heads: list[Prompt] = []
    members: dict[int, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        head = next((head for head in heads if is_near(head.text, prompt.text)), None)
        if head is None:
            heads.append(prompt)
            head = prompt
        members[head.pk].append(prompt)
    return (group for group in members.values() if len(group) > 1)
