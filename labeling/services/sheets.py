"""What a labeler sees of a task: the prompt, the cards in their order, their draft. Nothing tells whose text it is.

Pages and the API are made of this alone, so that neither can show more.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from labeling.models import Guideline, Project, PromptBrief, Ranking, Task, User
from labeling.models.statements import Statement, columns, made
from labeling.services import answers, assignments, rendering
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
    row = _SHEET.first(
        task=task.pk, project=task.project_id, labeler=labeler.pk, midnight=_midnight(), renderer=rendering.VERSION
    )
    assert row is not None  # noqa: S101  # one row, whatever is there
    pages, num_today, payload, version, saved_at = row[:5]
    return Sheet(
        task=task,
        messages=_messages(task),
        cards=_cards(_rendered(pages or "[]"), assignments.shown_order(task=task, labeler=labeler)),
        guideline=made(Guideline, row, at=5) if row[5] else None,
        draft=json.loads(payload) if payload else {},
        draft_version=version or 0,
        draft_saved_at=saved_at,
        num_today=num_today,
    )


def lay_out_again(*, ranking: Ranking) -> Sheet:
    """A ranking given before, as its labeler saw it: the same letters, their answer filled in."""
    return Sheet(
        task=ranking.task,
        messages=_messages(ranking.task),
        cards=_cards(_pages(ranking.task), ranking.displayed),
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


# One question for the four kinds of judgement: it is asked with every task that is handed out.
_KINDS: Final = {"ranking": "task", "writtenprompt": "task", "promptannotation": "task", "demonstration": "prompt"}
_NUM_TODAY: Final = " + ".join(
    f"(SELECT count(*) FROM labeling_{kind} j JOIN labeling_{of} o ON o.id = j.{of}_id"  # noqa: S608  # of our own names
    " WHERE j.labeler_id = %(labeler)s AND j.created_at >= %(midnight)s AND j.revision = 1"
    " AND j.batch_id IS NULL AND o.project_id = %(project)s)"
    for kind, of in _KINDS.items()
)
_COUNT: Final = Statement(
    "num_today", f"SELECT {_NUM_TODAY}", labeler="bigint", project="bigint", midnight="timestamptz"
)
# Each response as it was rendered before, else its text and what it is to be kept under.
_PAGES: Final = """
SELECT jsonb_agg(CASE WHEN h.html IS NULL THEN jsonb_build_array(r.id, r.text) ELSE to_jsonb(h.html) END
                 ORDER BY p.position)
  FROM labeling_taskresponse p JOIN labeling_response r ON r.id = p.response_id
  LEFT JOIN labeling_renderedresponse h
         ON h.response_id = r.id AND h.version = %(renderer)s AND h.text_md5 = md5(r.text)
 WHERE p.task_id = %(task)s
"""
# All that a page shows besides the task and its prompt, asked at once: a question each takes longer than the answers.
_SHEET: Final = Statement(
    "sheet",
    f"""
SELECT ({_PAGES}), {_NUM_TODAY}, d.payload, d.version, d.saved_at, {columns(Guideline, "g")}
  FROM (SELECT 1) one
  LEFT JOIN labeling_draft d ON d.task_id = %(task)s AND d.labeler_id = %(labeler)s
  LEFT JOIN LATERAL (
    SELECT * FROM labeling_guideline WHERE project_id = %(project)s ORDER BY version DESC LIMIT 1) g ON true
""",  # noqa: S608  # names of ours
    task="bigint",
    labeler="bigint",
    project="bigint",
    midnight="timestamptz",
    renderer="text",
)
_KEEP: Final = Statement(
    "keep_rendered",
    """
INSERT INTO labeling_renderedresponse (response_id, version, text_md5, html)
SELECT k.response, %(renderer)s, md5(r.text), k.html
  FROM unnest(%(responses)s, %(pages)s) k(response, html) JOIN labeling_response r ON r.id = k.response
ON CONFLICT (response_id) DO UPDATE
   SET version = excluded.version, text_md5 = excluded.text_md5, html = excluded.html
""",
    renderer="text",
    responses="bigint[]",
    pages="text[]",
)


def count_today(*, project: Project, labeler: User) -> int:
    """Judgements given since midnight; an edit is not another one."""
    ((num,),) = _COUNT.rows(project=project.pk, labeler=labeler.pk, midnight=_midnight())
    return int(num)


def _midnight() -> datetime:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def _messages(task: Task) -> list[Message]:
    if task.prompt is None:
        return []
    return [Message(message["role"], rendering.to_html(message["content"])) for message in task.prompt.messages]


def _rendered(found: str) -> list[SafeString]:
    """The responses as HTML; those that nobody has seen yet are rendered now, and kept for all who come after."""
    pages = json.loads(found)
    new = {page[0]: rendering.to_html(page[1]) for page in pages if isinstance(page, list)}
    if new:
        _KEEP.run(renderer=rendering.VERSION, responses=list(new), pages=[str(html) for html in new.values()])
    # What is kept came out of the same renderer, whose allow-list is the guard.
    return [new[page[0]] if isinstance(page, list) else mark_safe(page) for page in pages]  # noqa: S308


def _pages(task: Task) -> list[SafeString]:
    found = task.task_responses.order_by("position").values_list("response__text", flat=True)
    return [rendering.to_html(text) for text in found]


def _cards(pages: Sequence[SafeString], shown: Sequence[int]) -> list[Card]:
    return [Card(LETTERS[place], pages[position]) for place, position in enumerate(shown)]
