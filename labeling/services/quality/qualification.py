"""Qualification: a set of tasks with known answers that a labeler does before any other of its kind.

Rankings are graded by pairwise agreement with the reference, all pairs of all tasks weighing the same; a pair tied by
one of the two is half right. Flags are graded by the share of all (response, flag) yes-or-no answers that agree, if
any reference of the set has a flag. Written answers get a grade from 1 to 7 by a reviewer; the mean counts.
A task that was skipped, or answered without an order, is left out of the grade; more than a quarter of those is a fail.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models import Avg, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from labeling.models import (
    Demonstration,
    DemonstrationGrade,
    Project,
    Qualification,
    QualificationSet,
    Ranking,
    Reference,
    Slot,
    Task,
    User,
)
from labeling.services.agreement import grading
from labeling.services.quality import places
from labeling.services.quality.references import QualityError

MAX_MISSING_SHARE: Final = 0.25
TIES: Final = "half"


@dataclass(frozen=True)
class Progress:
    """How far a labeler is with a set."""

    qualification_set: QualificationSet
    num_done: int
    num_all: int
    result: Qualification | None

    @property
    def is_waiting(self) -> bool:
        """All is written, and a reviewer has still to grade it."""
        return self.result is None and self.num_all > 0 and self.num_done == self.num_all

    @property
    def has_passed(self) -> bool:
        return self.result is not None and self.result.state != Qualification.State.FAILED


@dataclass(frozen=True)
class Scores:
    rankings: float | None = None
    flags: float | None = None
    grade: float | None = None


# --- making a set --------------------------------------------------------------------------------------------------


@transaction.atomic
def activate(*, qualification_set: QualificationSet) -> QualificationSet | None:
    """From now on nobody works unpassed. Returns the set that was active before, now retired."""
    locked = QualificationSet.objects.select_for_update().get(pk=qualification_set.pk)
    if locked.state != QualificationSet.State.DRAFT:
        raise QualityError("Only a draft can be activated.")
    if why := why_not_ready(locked):
        raise QualityError(why)
    alike = QualificationSet.objects.filter(project=locked.project_id, kind=locked.kind, state="active")
    before = alike.first()
    alike.update(state=QualificationSet.State.RETIRED)
    QualificationSet.objects.filter(pk=locked.pk).update(state=QualificationSet.State.ACTIVE)
    return before


def why_not_ready(qualification_set: QualificationSet) -> str:
    """What keeps a set from being activated; empty: nothing."""
    tasks = tasks_of(qualification_set)
    if not tasks.exists():
        return "Add a task first: there is nothing to qualify by."
    if qualification_set.kind == QualificationSet.Kind.RANK and tasks.filter(reference__isnull=True).exists():
        return "Give each task its reference ranking first."
    return ""


def retire(*, qualification_set: QualificationSet) -> bool:
    """Nobody is asked for it any more; results stay. False if it was not active."""
    active = QualificationSet.objects.filter(pk=qualification_set.pk, state=QualificationSet.State.ACTIVE)
    return active.update(state=QualificationSet.State.RETIRED) == 1


@transaction.atomic
def remove(*, task: Task) -> None:
    """Take a task out of a draft set; nobody has seen it."""
    locked = QualificationSet.objects.select_for_update().get(pk=_set_id(task))
    if locked.state != QualificationSet.State.DRAFT:
        raise QualityError("Only a draft set can change: everybody must be asked the same.")
    task.delete()


def tasks_of(qualification_set: QualificationSet) -> QuerySet[Task]:
    return Task.objects.filter(qualification_set=qualification_set, purpose=Task.Purpose.QUALIFICATION)


# --- handing out and grading ---------------------------------------------------------------------------------------


def hand_out(*, set_id: int, labeler: User) -> Slot | None:
    """The next task of the set that this labeler has not touched, held for them alone."""
    tasks = places.not_touched_by(labeler, _tasks_for(set_id, labeler)).order_by("pk")
    task = tasks.select_related("project").first()
    return places.hand(task=task, labeler=labeler) if task else None


def count_left(*, set_id: int, labeler: User, kind: str) -> int:
    """Tasks of the set that this labeler can still be given."""
    return places.not_touched_by(labeler, _tasks_for(set_id, labeler)).filter(kind=kind).count()


def answered(*, task: Task, labeler: User) -> Qualification | None:
    """Call after each answer or skip of a qualification task: decides when it was the last one.

    The set's row is locked, so that two last answers at once see each other.
    """
    sets = QualificationSet.objects.select_for_update(no_key=True, of=("self",))
    locked = sets.select_related("project").get(pk=_set_id(task))
    if locked.state != QualificationSet.State.ACTIVE:
        return None
    decided = Qualification.objects.filter(qualification_set=locked, labeler=labeler).first()
    if decided or not _is_complete(locked, labeler):
        return decided
    return _decide(locked, labeler)


def grade_demonstration(*, demonstration: Demonstration, grade: int, note: str, by: User) -> Qualification | None:
    """A reviewer's grade of an answer written to qualify. The last one decides."""
    task = demonstration.task
    if task is None or task.qualification_set_id is None:
        raise QualityError("Only answers written to qualify are graded here.")
    if demonstration.labeler_id == by.pk:
        raise QualityError("Somebody else must grade what you wrote.")
    values = {"grade": grade, "note": note.strip()[:5_000], "graded_by": by}
    with transaction.atomic():
        DemonstrationGrade.objects.update_or_create(demonstration=demonstration, defaults=values)
        return answered(task=task, labeler=demonstration.labeler)


def let_pass(*, qualification_set: QualificationSet, labeler: User, by: User) -> Qualification:
    """A manager's word; scores that are there stay."""
    values = {"state": Qualification.State.WAIVED, "decided_by": by, "decided_at": Now()}
    result, _ = Qualification.objects.update_or_create(
        qualification_set=qualification_set, labeler=labeler, defaults=values
    )
    return result


def progress(*, project: Project, labeler: User, set_ids: Iterable[int] | None = None) -> list[Progress]:
    """The active sets, or these, and how far this labeler is with each."""
    sets = QualificationSet.objects.filter(project=project, state=QualificationSet.State.ACTIVE)
    if set_ids is not None:
        sets = sets.filter(pk__in=list(set_ids))
    return [progress_of(found, labeler) for found in sets.order_by("-kind")]


def progress_of(qualification_set: QualificationSet, labeler: User) -> Progress:
    tasks = _tasks_for(qualification_set.pk, labeler)
    num_all = tasks.count()
    return Progress(
        qualification_set=qualification_set,
        num_done=num_all - places.not_answered_by(labeler, tasks).count(),
        num_all=num_all,
        result=Qualification.objects.filter(qualification_set=qualification_set, labeler=labeler).first(),
    )


def to_grade(project: Project) -> QuerySet[Demonstration]:
    """Answers written to qualify that wait for a grade, oldest first."""
    written = Demonstration.objects.filter(
        task__project=project,
        task__qualification_set__state=QualificationSet.State.ACTIVE,
        replaced_by__isnull=True,
        void__isnull=True,
        grade__isnull=True,
    )
    return written.select_related("prompt", "task__qualification_set").order_by("pk")


def share_of_flags(
    graded: Iterable[tuple[Ranking, Reference]], flags: Sequence[str], *, num_responses: Sequence[int]
) -> float | None:
    """Of all questions “does this flag apply to this response?”, how many have the reference's answer."""
    num, num_agreed = 0, 0
    for (ranking, reference), num_of_task in zip(graded, num_responses, strict=True):
        for position in range(num_of_task):
            said, right = set(ranking.flags.get(str(position), [])), set(reference.flags.get(str(position), []))
            num += len(flags)
            num_agreed += len(flags) - len((said ^ right) & set(flags))
    return num_agreed / num if num else None


def _set_id(task: Task) -> int:
    assert task.qualification_set_id is not None  # noqa: S101  # a CHECK holds it for this purpose
    return task.qualification_set_id


def _tasks_for(set_id: int, labeler: User) -> QuerySet[Task]:
    """The tasks of the set that this labeler can be asked: not what they wrote an answer to in their work already."""
    tasks = Task.objects.filter(qualification_set=set_id, purpose=Task.Purpose.QUALIFICATION)
    written = Demonstration.objects.filter(prompt=OuterRef("prompt"), labeler=labeler).exclude(task=OuterRef("pk"))
    return places.suiting(labeler, tasks).exclude(Q(kind=Task.Kind.DEMONSTRATE) & Exists(written))


def _is_complete(qualification_set: QualificationSet, labeler: User) -> bool:
    tasks = _tasks_for(qualification_set.pk, labeler)
    if places.not_answered_by(labeler, tasks).exists():
        return False
    if qualification_set.kind == QualificationSet.Kind.RANK:
        return True
    return not _written(qualification_set, labeler).filter(grade__isnull=True).exists()


def _decide(qualification_set: QualificationSet, labeler: User) -> Qualification:
    is_of_rankings = qualification_set.kind == QualificationSet.Kind.RANK
    scores, num_graded = (_grade_rankings if is_of_rankings else _grade_written)(qualification_set, labeler)
    num_all = _tasks_for(qualification_set.pk, labeler).count()
    has_enough = num_graded >= num_all * (1 - MAX_MISSING_SHARE)
    state = Qualification.State.PASSED if has_enough and _passes(qualification_set, scores) else "failed"
    result, _ = Qualification.objects.get_or_create(
        qualification_set=qualification_set,
        labeler=labeler,
        defaults={
            "state": state,
            "score_rankings": scores.rankings,
            "score_flags": scores.flags,
            "score_grade": scores.grade,
        },
    )
    return result


def _passes(qualification_set: QualificationSet, scores: Scores) -> bool:
    if qualification_set.kind == QualificationSet.Kind.DEMONSTRATE:
        return scores.grade is not None and scores.grade >= qualification_set.cutoff_grade
    is_right = scores.rankings is not None and scores.rankings >= qualification_set.cutoff_rankings
    return is_right and (scores.flags is None or scores.flags >= qualification_set.cutoff_flags)


def _grade_rankings(qualification_set: QualificationSet, labeler: User) -> tuple[Scores, int]:
    """Also how many tasks there was an order to grade by."""
    rankings = Ranking.objects.current().filter(task__qualification_set=qualification_set, labeler=labeler)
    given = [ranking for ranking in rankings.select_related("task__reference") if ranking.ranks]
    pairs = [(ranking, ranking.task.reference) for ranking in given]
    share = grading.grade_all(((ranking.ranks, right.ranks) for ranking, right in pairs), ties=TIES).share
    flags = None
    if Reference.objects.filter(task__qualification_set=qualification_set).exclude(flags={}).exists():
        sizes = [ranking.task.num_responses for ranking in given]
        flags = share_of_flags(pairs, qualification_set.project.flags, num_responses=sizes)
    return Scores(rankings=share, flags=flags), len(given)


def _grade_written(qualification_set: QualificationSet, labeler: User) -> tuple[Scores, int]:
    written = _written(qualification_set, labeler)
    return Scores(grade=written.aggregate(mean=Avg("grade__grade"))["mean"]), written.count()


def _written(qualification_set: QualificationSet, labeler: User) -> QuerySet[Demonstration]:
    return Demonstration.objects.filter(
        task__qualification_set=qualification_set, labeler=labeler, replaced_by__isnull=True, void__isnull=True
    )
