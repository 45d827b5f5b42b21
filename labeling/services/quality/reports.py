"""What the quality pages say of a project as a whole."""

from dataclasses import dataclass

from django.db.models import Count

from labeling.models import Project, Ranking, Task
from labeling.services import agreement
from labeling.services.agreement import Agreement


@dataclass(frozen=True)
class Stream:
    """The tasks that were chosen in one way, reported apart from the others."""

    label: str
    num_tasks: int
    num_rankings: int
    agreement: Agreement


def streams(project: Project) -> list[Stream]:
    """Those that have tasks, the random control last."""
    tasks = Task.objects.filter(project=project, purpose=Task.Purpose.WORK, num_responses__gte=2)
    nums = dict(tasks.order_by().values_list("stream").annotate(num=Count("pk")))
    return [_stream(project, Task.Stream(value), nums[value]) for value in Task.Stream.values if nums.get(value)]


def _stream(project: Project, stream: Task.Stream, num_tasks: int) -> Stream:
    rankings = Ranking.objects.counted().filter(task__project=project, task__stream=stream)
    judged = rankings.filter(ranks__len__gte=2).values_list("task", "labeler", "ranks")
    return Stream(
        label=str(stream.label),
        num_tasks=num_tasks,
        num_rankings=rankings.count(),
        agreement=agreement.pairwise(judged.iterator(chunk_size=5_000)),
    )
