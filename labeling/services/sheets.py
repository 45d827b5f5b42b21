"""What a labeler sees of a task: the prompt, the cards in their order, their draft. Nothing tells whose text it is.

Pages and the API are made of this alone, so that neither can show more.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.safestring import SafeString

from labeling.models import (
    Demonstration,
    Guideline,
    Project,
    PromptAnnotation,
    PromptBrief,
    Ranking,
    Task,
    User,
    WrittenPrompt,
)
from labeling.services import answers, assignments, drafts, rendering
from labeling.services.answers import LETTERS


@dataclass(frozen=True)
class Message:
    role: str
    html: SafeString


@dataclass(frozen=True)
class Card:
    """One response under the letter that is its name for this labeler."""

    letter: str
    html: SafeString


@dataclass(frozen=True)
class Sheet:
    task: Task
    messages: Sequence[Message]
    cards: Sequence[Card]
    guideline: Guideline | None
    draft: dict[str, Any] = field(default_factory=dict)
    draft_version: int = 0
    draft_saved_at: datetime | None = None
    num_today: int = 0
    idempotency_key: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def num_cards(self) -> int:
        return len(self.cards)

    @property
    def num_cards_text(self) -> str:
        return str(len(self.cards))

    @property
    def flags(self) -> list[str]:
        return self.task.project.flags if self.cards else []

    @property
    def labels(self) -> list[str]:
        """What is asked of a prompt that is to be annotated."""
        return self.task.project.prompt_labels if self.task.kind == Task.Kind.ANNOTATE else []

    @property
    def brief(self) -> PromptBrief | None:
        return self.task.brief


def lay_out(*, task: Task, labeler: User) -> Sheet:
    """The task as this labeler sees it, with what they have not sent yet."""
    draft = drafts.load(task=task, labeler=labeler)
    return Sheet(
        task=task,
        messages=_messages(task),
        cards=_cards(task, assignments.shown_order(task=task, labeler=labeler)),
        guideline=task.project.current_guideline(),
        draft=draft.payload if draft else {},
        draft_version=draft.version if draft else 0,
        draft_saved_at=draft.saved_at if draft else None,
        num_today=count_today(project=task.project, labeler=labeler),
    )


def lay_out_again(*, ranking: Ranking) -> Sheet:
    """A ranking given before, as its labeler saw it: the same letters, their answer filled in."""
    return Sheet(
        task=ranking.task,
        messages=_messages(ranking.task),
        cards=_cards(ranking.task, ranking.displayed),
        guideline=ranking.task.project.current_guideline(),
        draft=to_draft(answers.from_ranking(ranking)),
        num_today=count_today(project=ranking.task.project, labeler=ranking.labeler),
    )


def to_draft(answer: answers.Answer) -> dict[str, Any]:
    """An answer in the form that pages and drafts keep it: by letter."""
    return {
        "outcome": answer.outcome,
        "ranks": {LETTERS[place]: rank for place, rank in enumerate(answer.ranks) if rank is not None},
        "ratings": {LETTERS[place]: rating for place, rating in enumerate(answer.ratings) if rating is not None},
        "flags": {place: list(flags) for place, flags in answer.flags.items()},
        "notes": dict(answer.notes),
        "note": answer.note,
    }


def count_today(*, project: Project, labeler: User) -> int:
    """Judgements given since midnight; an edit is not another one."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    since = {"labeler": labeler, "created_at__gte": midnight, "revision": 1, "batch__isnull": True}
    by_task = (Ranking, WrittenPrompt, PromptAnnotation)
    num: int = sum(kind._default_manager.filter(task__project=project, **since).count() for kind in by_task)
    return num + Demonstration.objects.filter(prompt__project=project, **since).count()


def _messages(task: Task) -> list[Message]:
    if task.prompt is None:
        return []
    return [Message(message["role"], rendering.to_html(message["content"])) for message in task.prompt.messages]


def _cards(task: Task, shown: Sequence[int]) -> list[Card]:
    places = task.task_responses.order_by("position").values_list("response__text", flat=True)
    texts = list(places)
    return [Card(LETTERS[place], rendering.to_html(texts[position])) for place, position in enumerate(shown)]
