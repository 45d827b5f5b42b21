"""Reviews: a task whose labelers disagree goes to a reviewer, who ranks it blind, then sees the others and decides.

The decision is an ordinary ranking without a slot, attached to the review. The labelers' rankings stay as they were.
A review goes open → held → done or dismissed, each step a compare-and-set. Locks are taken task first, then review.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Final

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Greatest, Now

from labeling.models import MAX_RESPONSES_FOR_PEOPLE, Project, Ranking, Review, Slot, Task, User
from labeling.services import answers, assignments, drafts
from labeling.services.agreement import grading
from labeling.services.answers import Answer

LEASE: Final = timedelta(hours=1)
LEASE_AFTER_RANKING: Final = timedelta(days=1)  # nobody else should have to rank what one has ranked already
RANKING_KINDS: Final = (Task.Kind.RANK, Task.Kind.COMPARE)
TIES: Final = "half"
ATTEMPTS: Final = 20


class ReviewError(Exception):
    """What was asked cannot be done; the text is for the reviewer or manager."""


@dataclass(frozen=True)
class Voice:
    """One labeler's ranking in a review. The name says nothing about who it is."""

    name: str
    ranking: Ranking


# --- opening -------------------------------------------------------------------------------------------------------


def consider(*, task: Task) -> Review | None:
    """Open a review if all wanted rankings are in and agree on too few comparisons. Call it with the task locked.

    Ties: tied by both is agreement, tied by one of the two is half of one. Answers without an order have no say.
    In an evaluation what people differ on is the result: nobody decides it.
    """
    below = task.project.review_below_percent
    if not below or task.evaluation_id or task.num_wanted < 2 or task.num_responses > MAX_RESPONSES_FOR_PEOPLE:
        return None
    given = list(Ranking.objects.counted().filter(task=task).values_list("ranks", flat=True))
    share = agreement_of(given)
    if len(given) < task.num_wanted or share is None:
        return None
    waiting = Review.objects.filter(task=task, state=Review.State.OPEN, reason=Review.Reason.LOW_AGREEMENT)
    if waiting.update(score=share) or share * 100 >= below:
        return None
    review, _ = Review.objects.get_or_create(
        task=task, defaults={"project_id": task.project_id, "reason": Review.Reason.LOW_AGREEMENT, "score": share}
    )
    return review


def agreement_of(rankings: Sequence[Sequence[int]]) -> float | None:
    return grading.grade_all(combinations(rankings, 2), ties=TIES).share


def open_many(
    *,
    project: Project,
    task_ids: Iterable[int],
    reason: str,
    scores: Mapping[int, float] | None = None,
    by: User | None = None,
) -> int:
    """A review for each of these ranking tasks that has none or was dismissed. Returns how many were opened.

    Never for one of an evaluation: a decision would neither train nor count.
    """
    tasks = Task.objects.filter(pk__in=list(task_ids), project=project, purpose=Task.Purpose.WORK, evaluation=None)
    tasks = tasks.filter(kind__in=RANKING_KINDS, num_responses__lte=MAX_RESPONSES_FOR_PEOPLE)
    return sum(_open(task, reason, (scores or {}).get(task.pk), by) for task in tasks.order_by("pk"))


def ask(*, task: Task, by: User) -> bool:
    """Somebody wants a reviewer to look. False if one is asked, or has decided, already."""
    given = list(Ranking.objects.counted().filter(task=task).values_list("ranks", flat=True))
    share = agreement_of(given)
    scores = {} if share is None else {task.pk: share}
    return open_many(project=task.project, task_ids=[task.pk], reason=Review.Reason.ASKED, scores=scores, by=by) == 1


def _open(task: Task, reason: str, score: float | None, by: User | None) -> bool:
    values = {"reason": reason, "score": score, "opened_by": by}
    _, is_new = Review.objects.get_or_create(task=task, defaults={"project_id": task.project_id, **values})
    if is_new:
        return True
    dismissed = Review.objects.filter(task=task, state=Review.State.DISMISSED)
    again = {"state": Review.State.OPEN, "reviewer": None, "decided_at": None, "note": ""}
    return dismissed.update(**values, **again) == 1


# --- who reviews ---------------------------------------------------------------------------------------------------


def queue(*, project: Project, reviewer: User) -> QuerySet[Review]:
    """What this reviewer can take now, worst first; what they hold comes before all. Who ranked a task is left out."""
    ranked = Ranking.objects.filter(task=OuterRef("task"), labeler=reviewer)
    holds = Slot.objects.filter(task=OuterRef("task"), holder=reviewer, state=Slot.State.HELD)
    mine = Q(state=Review.State.HELD, reviewer=reviewer)
    is_mine = Case(When(mine, then=Value(0)), default=Value(1))
    reviews = Review.objects.filter(project=project).filter(_free() | mine)
    return (
        reviews.filter(mine | ~(Exists(ranked) | Exists(holds)))
        .select_related("task__prompt", "task__project")
        .order_by(is_mine, F("score").asc(nulls_last=True), "pk")
    )


def take_next(*, project: Project, reviewer: User) -> Review | None:
    """Hold the worst one; if others are quicker, the one after."""
    for review in queue(project=project, reviewer=reviewer)[:ATTEMPTS]:
        if take(review=review, reviewer=reviewer):
            return review
    return None


def take(*, review: Review, reviewer: User) -> bool:
    """Hold this review, or hold it longer. False: somebody else has it, or this person ranked the task."""
    if not queue(project=review.project, reviewer=reviewer).filter(pk=review.pk).exists():
        return False
    theirs = Q(state=Review.State.HELD, reviewer=reviewer)
    lease = LEASE_AFTER_RANKING if own_ranking(review=review, reviewer=reviewer) else LEASE
    found = Review.objects.filter(_free() | theirs, pk=review.pk)
    return found.update(state=Review.State.HELD, reviewer=reviewer, held_until=Now() + lease) == 1


def hold_longer(*, review: Review, reviewer: User) -> bool:
    """While somebody works on it. False: it is not theirs."""
    held = Review.objects.filter(pk=review.pk, state=Review.State.HELD, reviewer=reviewer)
    return held.update(held_until=Greatest(F("held_until"), Now() + LEASE)) == 1


def give_back(*, review: Review, reviewer: User) -> bool:
    """Not now. Only before one has ranked: afterwards one knows too much to leave it to somebody else."""
    if own_ranking(review=review, reviewer=reviewer):
        return False
    held = Review.objects.filter(pk=review.pk, state=Review.State.HELD, reviewer=reviewer)
    return held.update(state=Review.State.OPEN, reviewer=None, held_until=None) == 1


def _free() -> Q:
    """Open, or left lying by somebody whose lease has run out."""
    return Q(state=Review.State.OPEN) | Q(state=Review.State.HELD, held_until__lt=Now())


# --- deciding ------------------------------------------------------------------------------------------------------


def own_ranking(*, review: Review, reviewer: User) -> Ranking | None:
    """What the holder ranked before they saw the others."""
    mine = Ranking.objects.filter(task=review.task_id, labeler=reviewer, slot__isnull=True, batch__isnull=True)
    return mine.order_by("-revision").first()


@transaction.atomic
def rank(*, review: Review, reviewer: User, idempotency_key: str, answer: Answer) -> Ranking:
    """The reviewer's own ranking, before they see the others'. Sending it twice changes nothing."""
    task = _lock_task(review)
    held = _held(review, reviewer)
    if earlier := own_ranking(review=held, reviewer=reviewer):
        return earlier
    if Ranking.objects.filter(task=task, labeler=reviewer).exists():
        raise ReviewError("You ranked this task as a labeler, so somebody else must review it.")
    displayed = assignments.shown_order(task=task, labeler=reviewer)
    columns = answers.to_columns(task=task, displayed=displayed, answer=answer)
    ranking = Ranking(task=task, labeler=reviewer, idempotency_key=idempotency_key, **columns)
    ranking.save(force_insert=True)
    drafts.forget(task=task, labeler=reviewer)
    Review.objects.filter(pk=held.pk).update(held_until=Now() + LEASE_AFTER_RANKING)
    return ranking


@transaction.atomic
def decide(
    *, review: Review, reviewer: User, note: str, idempotency_key: str = "", answer: Answer | None = None
) -> Review:
    """Having seen the others: one's ranking as it was, or changed once, is the decision."""
    task = _lock_task(review)
    held = _held(review, reviewer)
    ranking = own_ranking(review=held, reviewer=reviewer)
    if ranking is None:
        raise ReviewError("Rank the responses yourself first.")
    if answer is not None:
        ranking = _revised(task, ranking, idempotency_key, answer)
    Review.objects.filter(pk=held.pk, state=Review.State.HELD, reviewer=reviewer).update(
        state=Review.State.DONE, ranking=ranking, note=note.strip()[:5_000], held_until=None, decided_at=Now()
    )
    drafts.forget(task=task, labeler=reviewer)
    held.refresh_from_db()
    return held


@transaction.atomic
def dismiss(*, review: Review, by: User, note: str) -> bool:
    """Not needed: nothing changes for the task. False if somebody else has it, or it is decided."""
    free = Review.objects.filter(_free() | Q(state=Review.State.HELD, reviewer=by), pk=review.pk)
    changes = {"reviewer": by, "held_until": None, "note": note.strip()[:5_000], "decided_at": Now()}
    is_dismissed = free.update(state=Review.State.DISMISSED, **changes) == 1
    if is_dismissed:
        drafts.forget(task=review.task, labeler=by)
    return is_dismissed


def voices(review: Review) -> list[Voice]:
    """The labelers' rankings under names that only hold here, in an order that has nothing to do with time."""
    rankings = Ranking.objects.current().filter(task=review.task_id, slot__isnull=False).select_related("labeler")
    drawn = sorted(rankings, key=lambda ranking: _lot(review, ranking.labeler))
    return [Voice(f"Labeler {number}", ranking) for number, ranking in enumerate(drawn, start=1)]


def decisions(project: Project) -> QuerySet[Ranking]:
    """The rankings that reviewers decided on; a void one decides nothing."""
    return Ranking.objects.current().filter(adjudicates__state=Review.State.DONE, adjudicates__project=project)


def _revised(task: Task, ranking: Ranking, key: str, answer: Answer) -> Ranking:
    columns = answers.to_columns(task=task, displayed=ranking.displayed, answer=answer)
    judged = ("outcome", "ranks", "ratings", "flags", "notes", "note")
    if all(getattr(ranking, name) == columns[name] for name in judged):
        return ranking
    revision = Ranking(
        task=task,
        labeler_id=ranking.labeler_id,
        idempotency_key=key,
        revision=ranking.revision + 1,
        replaces=ranking,
        **columns,
    )
    revision.save(force_insert=True)
    return revision


def _lock_task(review: Review) -> Task:
    return Task.objects.select_for_update(no_key=True).get(pk=review.task_id)


def _held(review: Review, reviewer: User) -> Review:
    """Locked, and still this reviewer's. A lease that ran out is theirs as long as nobody else took it."""
    found = Review.objects.select_for_update().get(pk=review.pk)
    if found.state != Review.State.HELD or found.reviewer_id != reviewer.pk:
        raise ReviewError("This review is not yours any more: somebody else took it, or it is decided.")
    return found


def _lot(review: Review, labeler: User) -> str:
    return hashlib.sha256(f"voices 1:{review.uid}:{labeler.uid}".encode()).hexdigest()
