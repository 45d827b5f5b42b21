"""Taking a person's data out of a project: what that touches is shown before, and said afterwards where the data is.

Judgements are voided, never deleted, and snapshots never change: what has been learned from cannot be unlearned, so the
pages of the snapshots and models concerned say what they hold.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow.parquet as pq
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from labeling.models import (
    Demonstration,
    DemonstrationVoid,
    Draft,
    Membership,
    Model,
    Project,
    Prompt,
    PromptAnnotation,
    Ranking,
    RankingVoid,
    Run,
    Skip,
    Snapshot,
    SnapshotDemonstration,
    SnapshotRanking,
    Task,
    User,
    Withdrawal,
    WrittenPrompt,
)
from labeling.services import lineage, people, snapshots, survey, tasks

BATCH: Final = 1_000


@dataclass(frozen=True)
class Held:
    """How much of withdrawn (or of one person's) data something holds."""

    num_people: int = 0
    num_rankings: int = 0
    num_demonstrations: int = 0
    num_prompts: int = 0

    def __bool__(self) -> bool:
        return bool(self.num_rankings or self.num_demonstrations or self.num_prompts)


@dataclass
class Touched:
    """What a withdrawal voids, and where the data has gone already."""

    num_rankings: int
    num_demonstrations: int
    num_prompts: int
    num_annotations: int
    snapshots: list[tuple[Snapshot, Held]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)

    @property
    def num_judgements(self) -> int:
        return self.num_rankings + self.num_demonstrations + self.num_prompts + self.num_annotations


def preview(*, project: Project, labeler: User) -> Touched:
    """Reads alone: what a withdrawal would touch now."""
    touched = Touched(
        num_rankings=_rankings(project, labeler).filter(replaced_by__isnull=True).count(),
        num_demonstrations=_demonstrations(project, labeler).filter(replaced_by__isnull=True).count(),
        num_prompts=_prompts(project, labeler).filter(is_retired=False).count(),
        num_annotations=_annotations(project, labeler).filter(replaced_by__isnull=True).count(),
    )
    for snapshot in Snapshot.objects.filter(project=project, state=Snapshot.State.READY).order_by("-pk"):
        if held := _held(snapshot, Q(labeler=labeler), _prompts(project, labeler)):
            touched.snapshots.append((snapshot, held))
    touched.runs = lineage.runs_on([snapshot for snapshot, _ in touched.snapshots])
    touched.models = lineage.models_from(touched.runs)
    return touched


@transaction.atomic
def withdraw(*, membership: Membership, reason: str, by: User) -> Withdrawal:
    """Void all that the person gave, want it again from others, and take them out. Raises LastManagerError."""
    project, labeler = membership.project, membership.user
    people.deactivate(membership=membership)
    freed = _slots_to_refill(project, labeler)
    num_rankings = _void_rankings(project, labeler, reason, by)
    num_demonstrations = _void_demonstrations(project, labeler, reason, by)
    _retire_prompts(project, labeler)
    _want_again(freed)
    _forget_the_rest(project, labeler)
    kept, is_new = Withdrawal.objects.get_or_create(
        project=project,
        labeler=labeler,
        defaults={
            "reason": reason,
            "withdrawn_by": by,
            "num_rankings": num_rankings,
            "num_demonstrations": num_demonstrations,
        },
    )
    if not is_new:  # they had come back, and leave again
        Withdrawal.objects.filter(pk=kept.pk).update(
            reason=reason,
            withdrawn_by=by,
            num_rankings=F("num_rankings") + num_rankings,
            num_demonstrations=F("num_demonstrations") + num_demonstrations,
            created_at=Now(),
        )
        kept.refresh_from_db()
    return kept


def held_by_snapshot(snapshot: Snapshot) -> Held:
    """What a snapshot holds of people who withdrew since."""
    withdrawals = Withdrawal.objects.filter(project=snapshot.project_id)
    if not withdrawals.exists() or snapshot.resolved.state != Snapshot.State.READY:
        return Held()
    written = Prompt.objects.filter(
        project=snapshot.project_id, written__isnull=False, author__in=withdrawals.values("labeler")
    )
    return _held(snapshot.resolved, Q(withdrawn=True), written)


def held_by_snapshots(found: Iterable[Snapshot]) -> list[tuple[Snapshot, Held]]:
    """Of several, those that hold something; each named once."""
    distinct = {snapshot.resolved.pk: snapshot.resolved for snapshot in found}
    held = [(snapshot, held_by_snapshot(snapshot)) for snapshot in distinct.values()]
    return [(snapshot, what) for snapshot, what in held if what]


def _held(snapshot: Snapshot, whose: Q, written: QuerySet[Prompt]) -> Held:
    """`whose` says of a judgement's labeler (`labeler=…`), or of any that withdrew (`withdrawn=True`)."""
    rankings = _with_withdrawn(Ranking.objects.filter(pk__in=_ids(SnapshotRanking, "ranking", snapshot)), snapshot)
    demonstrations = _with_withdrawn(
        Demonstration.objects.filter(pk__in=_ids(SnapshotDemonstration, "demonstration", snapshot)), snapshot
    )
    by_ranking = Counter(rankings.filter(whose).values_list("labeler", flat=True))
    by_demonstration = Counter(demonstrations.filter(whose).values_list("labeler", flat=True))
    authors = _authors_in(snapshot, written)
    return Held(
        num_people=len({*by_ranking, *by_demonstration, *authors}),
        num_rankings=by_ranking.total(),
        num_demonstrations=by_demonstration.total(),
        num_prompts=authors.total(),
    )


def _ids(through: Any, name: str, snapshot: Snapshot) -> Any:
    return through.objects.filter(snapshot=snapshot).values(name)


def _with_withdrawn(rows: Any, snapshot: Snapshot) -> Any:
    """Each row knows whether its labeler withdrew after giving it."""
    withdrawals = Withdrawal.objects.filter(
        project=snapshot.project_id, labeler=OuterRef("labeler"), created_at__gte=OuterRef("created_at")
    )
    return rows.annotate(withdrawn=Exists(withdrawals))


def _authors_in(snapshot: Snapshot, written: QuerySet[Prompt]) -> Counter[int]:
    """Authors of the written prompts whose text the snapshot's file holds. Its rows go by the hash of the prompt."""
    authors = dict(written.values_list("content_hash", "author"))
    if not authors or snapshot.kind == Snapshot.Kind.TEXT:
        return Counter()
    column = pq.read_table(snapshots.folder(snapshot) / "data.parquet", columns=["prompt_id"])["prompt_id"]
    return Counter(authors[name] for name in set(column.to_pylist()) if name in authors)


def _rankings(project: Project, labeler: User) -> QuerySet[Ranking]:
    return Ranking.objects.filter(task__project=project, labeler=labeler, void__isnull=True)


def _demonstrations(project: Project, labeler: User) -> QuerySet[Demonstration]:
    return Demonstration.objects.filter(prompt__project=project, labeler=labeler, void__isnull=True)


def _prompts(project: Project, labeler: User) -> QuerySet[Prompt]:
    return Prompt.objects.filter(project=project, author=labeler, written__isnull=False)


def _annotations(project: Project, labeler: User) -> QuerySet[PromptAnnotation]:
    return PromptAnnotation.objects.filter(task__project=project, labeler=labeler)


def _void_rankings(project: Project, labeler: User, reason: str, by: User) -> int:
    rows = list(_rankings(project, labeler).values_list("pk", "replaced_by"))
    voids = (RankingVoid(ranking_id=pk, reason=reason, voided_by=by) for pk, _ in rows)
    RankingVoid.objects.bulk_create(voids, batch_size=BATCH)
    return sum(later is None for _, later in rows)


def _void_demonstrations(project: Project, labeler: User, reason: str, by: User) -> int:
    rows = list(_demonstrations(project, labeler).values_list("pk", "replaced_by"))
    voids = (DemonstrationVoid(demonstration_id=pk, reason=reason, voided_by=by) for pk, _ in rows)
    DemonstrationVoid.objects.bulk_create(voids, batch_size=BATCH)
    return sum(later is None for _, later in rows)


def _retire_prompts(project: Project, labeler: User) -> None:
    """What they wrote is in no new task and no new snapshot, and the tasks that ask about it are closed."""
    for task in Task.objects.filter(prompt__in=_prompts(project, labeler), state=Task.State.OPEN):
        tasks.close(task=task)
    Prompt.objects.filter(pk__in=_prompts(project, labeler)).update(is_retired=True)


def _slots_to_refill(project: Project, labeler: User) -> set[int]:
    """Tasks where a judgement of theirs counts now: each wants another one."""
    counts = {"slot__isnull": False, "replaced_by__isnull": True}
    of_prompts = WrittenPrompt.objects.filter(task__project=project, labeler=labeler, prompt__is_retired=False)
    since_last = Withdrawal.objects.filter(project=project, labeler=labeler, created_at__gte=OuterRef("created_at"))
    found: list[QuerySet[Any]] = [
        _rankings(project, labeler).filter(**counts),
        _demonstrations(project, labeler).filter(**counts),
        of_prompts.filter(**counts),
        _annotations(project, labeler).filter(~Exists(since_last), **counts),
    ]
    ids = {pk for rows in found for pk in rows.values_list("task", flat=True) if pk is not None}
    wanted = Task.objects.filter(pk__in=ids, state=Task.State.OPEN, is_imported=False, purpose=Task.Purpose.WORK)
    return set(wanted.values_list("pk", flat=True))


def _want_again(task_ids: set[int]) -> None:
    """Their slots stay filled by what is void now, as with any void ranking; one more each is wanted instead."""
    list(Task.objects.select_for_update(no_key=True).filter(pk__in=task_ids).order_by("pk").values_list("pk"))
    Task.objects.filter(pk__in=task_ids).update(num_wanted=F("num_wanted") + 1)
    tasks.fit_slots(task_ids)


def _forget_the_rest(project: Project, labeler: User) -> None:
    """What was never an answer is deleted: drafts, skips, the survey."""
    Draft.objects.filter(task__project=project, labeler=labeler).delete()
    Skip.objects.filter(task__project=project, labeler=labeler).delete()
    survey.forget(project=project, user=labeler)
