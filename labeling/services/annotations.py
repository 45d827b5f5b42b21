"""What people say of prompts themselves (InstructGPT, appendix A, table 7): which of the project's labels hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from labeling.models import Project, Prompt, PromptAnnotation, Task, User, Withdrawal
from labeling.services import assignments, submissions
from labeling.services.answers import AnswerError
from labeling.services.submissions import AlreadySubmitted


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """What a labeler sends. No label at all must be said: an untouched page is no answer."""

    labels: Sequence[str] = ()
    is_none: bool = False
    note: str = ""
    guideline_version: int | None = None
    active_seconds: float | None = None
    client_time: datetime | None = None


@dataclass(frozen=True)
class LabelShare:
    """How one label fares: of the prompts that were asked about it, those where at least half of the people saw it."""

    label: str
    num_asked: int
    num_prompts: int

    @property
    def share(self) -> float | None:
        return self.num_prompts / self.num_asked if self.num_asked else None


@transaction.atomic
def submit(*, task: Task, labeler: User, idempotency_key: str, annotation: Annotation) -> PromptAnnotation:
    """Take an annotation in. The same key twice gives the same row; `slot` is None when it is surplus."""
    locked = assignments.lock(task)
    if earlier := submissions.with_key(_rows(), idempotency_key, task=locked, labeler=labeler):
        return earlier
    labels = _checked(locked.project.prompt_labels, annotation)
    if latest := submissions.latest(_rows(), task=locked, labeler=labeler):
        if sorted(latest.labels) == sorted(labels):
            return latest
        raise AlreadySubmitted(latest)
    slot = assignments.fill(task=locked, labeler=labeler)
    made = PromptAnnotation(
        task=locked,
        slot=slot,
        labeler=labeler,
        idempotency_key=idempotency_key,
        prompt=_prompt(locked),
        asked=locked.project.prompt_labels,
        **_columns(locked, annotation, labels),
    )
    made.save(force_insert=True)
    return made


@transaction.atomic
def revise(
    *, annotated: PromptAnnotation, labeler: User, idempotency_key: str, annotation: Annotation
) -> PromptAnnotation:
    """Change one of one's own last annotations. The labels are those that were asked then."""
    locked = assignments.lock(annotated.task)
    if earlier := submissions.with_key(_rows(), idempotency_key, task=locked, labeler=labeler):
        return earlier
    latest = submissions.to_revise(_rows(), annotated, labeler=labeler)
    labels = _checked(latest.asked, annotation)
    revision = PromptAnnotation(
        task=locked,
        slot_id=latest.slot_id,
        labeler=labeler,
        idempotency_key=idempotency_key,
        revision=latest.revision + 1,
        replaces=latest,
        prompt_id=latest.prompt_id,
        asked=latest.asked,
        **_columns(locked, annotation, labels),
    )
    revision.save(force_insert=True)
    assignments.forget_unsent(task=locked, labeler=labeler)
    return revision


def own(*, labeler: User) -> QuerySet[PromptAnnotation]:
    """A labeler's annotations as they stand now, newest first."""
    mine = _rows().filter(labeler=labeler, replaced_by__isnull=True)
    return mine.select_related("task__project", "prompt").order_by("-created_at", "-pk")


def can_edit(*, annotated: PromptAnnotation, labeler: User) -> bool:
    return submissions.can_edit(_rows(), annotated, labeler=labeler)


def counted(*, project: Project) -> QuerySet[PromptAnnotation]:
    """Those that fill a slot, as they stand now, without those of people who withdrew."""
    withdrawn = Withdrawal.objects.filter(
        project=project, labeler=OuterRef("labeler"), created_at__gte=OuterRef("created_at")
    )
    rows = _rows().filter(task__project=project, replaced_by__isnull=True, slot__isnull=False)
    return rows.filter(~Exists(withdrawn))


def of_prompt(prompt: Prompt) -> list[tuple[str, int, int]]:
    """(label, how many said it holds, how many were asked), in the order of the project's list."""
    rows = list(counted(project=prompt.project).filter(prompt=prompt).values_list("asked", "labels"))
    known = dict.fromkeys(label for asked, _ in rows for label in asked)
    order = [*(label for label in prompt.project.prompt_labels if label in known)]
    order += [label for label in known if label not in order]
    return [
        (label, sum(label in labels for _, labels in rows), sum(label in asked for asked, _ in rows)) for label in order
    ]


def shares(*, project: Project) -> list[LabelShare]:
    """The table of the paper: each label's share of the prompts. Where people differ, half of them is enough."""
    sql, params = counted(project=project).values("prompt_id", "asked", "labels").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_SHARES.format(rows=sql), params)  # the ORM's own statement goes inside
        found = {
            label: LabelShare(label, num_asked, num_prompts) for label, num_asked, num_prompts in cursor.fetchall()
        }
    listed = [found.pop(label, LabelShare(label, 0, 0)) for label in project.prompt_labels]
    return [*listed, *sorted(found.values(), key=lambda share: share.label)]


_SHARES = """
SELECT label, count(*), count(*) FILTER (WHERE 2 * num_yes >= num_asked)
  FROM (SELECT a.prompt_id, label, count(*) AS num_asked, count(*) FILTER (WHERE label = ANY (a.labels)) AS num_yes
          FROM ({rows}) a, unnest(a.asked) AS label
         GROUP BY a.prompt_id, label) by_prompt
 GROUP BY label
"""


def has_label(*, project: Project, label: str) -> Q:
    """Prompts of which at least one person said that the label holds."""
    return Q(Exists(counted(project=project).filter(prompt=OuterRef("pk"), labels__contains=[label])))


def to_draft(annotated: PromptAnnotation) -> dict[str, Any]:
    """A stored annotation in the form that pages and drafts keep it."""
    return {"labels": list(annotated.labels), "is_none": not annotated.labels, "note": annotated.note}


def _rows() -> QuerySet[PromptAnnotation]:
    return PromptAnnotation.objects.all()


def _prompt(task: Task) -> Prompt:
    assert task.prompt is not None  # noqa: S101  # a CHECK holds it for this kind of task
    return task.prompt


def _checked(asked: Sequence[str], annotation: Annotation) -> list[str]:
    """The labels in the order asked; raises AnswerError."""
    given = set(annotation.labels)
    if unknown := given - set(asked):
        raise AnswerError({"labels": f"This was not asked: {', '.join(sorted(unknown))}."})
    if not given and not annotation.is_none:
        raise AnswerError({"labels": "Tick what holds, or say that none of these does."})
    if given and annotation.is_none:
        raise AnswerError({"labels": "You ticked labels and “none of these”. Take one or the other away."})
    return [label for label in asked if label in given]


def _columns(task: Task, annotation: Annotation, labels: list[str]) -> dict[str, Any]:
    return {
        "labels": labels,
        "note": annotation.note.strip(),
        "guideline": submissions.guideline(task, annotation.guideline_version),
        "active_seconds": annotation.active_seconds,
        "client_time": annotation.client_time,
    }
