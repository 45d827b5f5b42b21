"""Which rankings a report is about, and what became of the others."""

from dataclasses import dataclass, fields
from datetime import timedelta

from django.db.models import Count, Q
from django.db.models.functions import Now

from labeling.models import Project, Ranking, Task
from labeling.models.rankings import JudgementQuerySet


@dataclass(frozen=True)
class Scope:
    """Empty fields leave nothing out. Read from an address, it is also the key under which a report is kept."""

    use_case: str = ""
    language: str = ""
    dataset: str = ""
    weeks: int = 0  # only rankings of the last so many weeks

    def of(self, rankings: JudgementQuerySet) -> JudgementQuerySet:
        wanted = {f"task__prompt__{name}": getattr(self, name) for name in ("use_case", "language", "dataset")}
        found = rankings.filter(**{path: value for path, value in wanted.items() if value})
        return found.filter(created_at__gte=Now() - timedelta(weeks=self.weeks)) if self.weeks else found

    @property
    def is_everything(self) -> bool:
        return self == Scope()

    def __str__(self) -> str:
        return "/".join(str(getattr(self, field.name)) for field in fields(self))


def counted(project: Project, scope: Scope) -> JudgementQuerySet:
    """The rankings of the scope that count and that have an order."""
    return scope.of(Ranking.objects.counted()).filter(task__project=project, ranks__len__gte=2)


@dataclass(frozen=True)
class Coverage:
    """Every ranking of the scope is in exactly one of these, revisions included."""

    num_shared: int  # what agreement is about: rankings of tasks that two or more people ranked
    num_alone: int
    num_without_order: int  # none is acceptable
    num_surplus: int
    num_void: int
    num_replaced: int  # earlier revisions
    num_tests: int  # qualification, known answers, hidden repeats
    num_decisions: int  # of reviewers, on what others ranked

    num_shared_tasks: int
    num_labelers: int


def coverage(project: Project, scope: Scope, *, num_shared: int, num_shared_tasks: int, num_labelers: int) -> Coverage:
    is_replaced, is_void = Q(replaced_by__isnull=False), Q(void__isnull=False)
    is_test = ~Q(task__purpose=Task.Purpose.WORK)
    is_decision, is_surplus = Q(adjudicates__isnull=False), Q(slot__isnull=True)
    current = ~is_replaced & ~is_void
    work = current & ~is_test & ~is_surplus
    found = scope.of(Ranking.objects.filter(task__project=project)).aggregate(
        num_replaced=Count("pk", filter=is_replaced),
        num_void=Count("pk", filter=~is_replaced & is_void),
        num_tests=Count("pk", filter=current & is_test),
        num_decisions=Count("pk", filter=current & ~is_test & is_surplus & is_decision),
        num_surplus=Count("pk", filter=current & ~is_test & is_surplus & ~is_decision),
        num_without_order=Count("pk", filter=work & Q(ranks__len__lt=2)),
        num_with_order=Count("pk", filter=work & Q(ranks__len__gte=2)),
    )
    return Coverage(
        num_shared=num_shared,
        num_alone=found["num_with_order"] - num_shared,
        num_without_order=found["num_without_order"],
        num_surplus=found["num_surplus"],
        num_void=found["num_void"],
        num_replaced=found["num_replaced"],
        num_tests=found["num_tests"],
        num_decisions=found["num_decisions"],
        num_shared_tasks=num_shared_tasks,
        num_labelers=num_labelers,
    )
