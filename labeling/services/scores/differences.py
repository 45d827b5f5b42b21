"""Where people and a reward model differ most: tasks by how much people's order surprises the model.

The measure is `training.contract.uncertainty.surprise`, in bits a pair, over all rankings of the task that count: what
people said, beside what the model expected of somebody who judges as it does. Ties are no pairs.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Final
from uuid import UUID

from django.core.cache import cache
from django.db.models import Count, Max

from labeling.models import (
    MAX_RESPONSES_FOR_PEOPLE,
    Model,
    Project,
    Ranking,
    RankingVoid,
    ResponseScore,
    Review,
    SnapshotRanking,
    Split,
    Task,
    TaskResponse,
    User,
)
from labeling.services.quality import reviews
from training.contract import uncertainty
from training.contract.uncertainty import NO_SURPRISE, Surprise

MOST_RANKINGS: Final = 50_000  # the newest: more would take longer than a page may
SECONDS: Final = 3600


@dataclass(frozen=True)
class Difference:
    """One task. `has_trained`: the model learned from a ranking of it, so it differs in spite of that."""

    task_id: int
    bits: float
    against: float  # share of the pairs that people ordered the other way round
    num_pairs: int
    num_labelers: int
    use_case: str
    language: str
    has_trained: bool


@dataclass(frozen=True)
class Asked:
    """What the page wants to see."""

    use_case: str = ""
    language: str = ""
    min_labelers: int = 1
    only_new: bool = False  # without what trained the model
    only_open: bool = True  # without what is under review or decided

    def wants(self, item: Difference) -> bool:
        return (
            (not self.use_case or item.use_case == self.use_case)
            and (not self.language or item.language == self.language)
            and item.num_labelers >= self.min_labelers
            and not (self.only_new and item.has_trained)
        )


def worst_first(project: Project, judge: Model, asked: Asked) -> list[Difference]:
    """The tasks that the page wants, the most surprising first."""
    found = [item for item in of_project(project, judge) if asked.wants(item)]
    if asked.only_open:
        taken = Review.objects.filter(project=project).exclude(state=Review.State.DISMISSED)
        known = set(taken.values_list("task", flat=True))
        found = [item for item in found if item.task_id not in known]
    return found


def of_project(project: Project, judge: Model) -> list[Difference]:
    """All tasks that people ranked and the model scored whole, the most surprising first. Kept for an hour, or until a
    ranking or a score has come."""
    key = _key(project, judge)
    found: list[Difference] | None = cache.get(key)
    if found is None:
        found = sorted(_measured(project, judge), key=lambda item: (-item.bits, item.task_id))
        cache.set(key, found, SECONDS)
    return found


def send_to_review(*, project: Project, judge: Model, tasks: Iterable[UUID], by: User) -> int:
    """Ask reviewers to decide these; they are not told what the model says. Returns how many were new."""
    agreed = {item.task_id: 1 - item.against for item in of_project(project, judge)}
    chosen = Task.objects.filter(project=project, uid__in=list(tasks), pk__in=list(agreed))
    ids = list(chosen.values_list("pk", flat=True))
    return reviews.open_many(project=project, task_ids=ids, reason=Review.Reason.MODEL_DISAGREES, scores=agreed, by=by)


def trained_tasks(judge: Model) -> set[int]:
    """Tasks of which a ranking was in the train split of what the model learned from."""
    inputs = judge.run.inputs.select_related("snapshot__same_as") if judge.run else []
    snapshots = [item.snapshot.resolved for item in inputs if item.name == "dataset" and item.snapshot]
    rows = SnapshotRanking.objects.filter(
        snapshot__in=snapshots, ranking__task__prompt__split=Split.TRAIN, ranking__labeler__is_held_out=False
    )
    return set(rows.values_list("ranking__task", flat=True))


def scores_of_tasks(tasks: Sequence[int], judge: Model) -> dict[int, list[float]]:
    """By task, the model's scores by position; a task with a response that it has not scored is not there."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    sizes: dict[int, int] = defaultdict(int)
    places = TaskResponse.objects.filter(task__in=tasks).values_list("task", "position", "response")
    rows = list(places.iterator(chunk_size=5_000))
    wanted = {response for *_, response in rows}
    score = dict(
        ResponseScore.objects.by(judge).filter(response__in=wanted).values_list("response", "score").iterator()
    )
    for task, position, response in rows:
        sizes[task] += 1
        if response in score:
            found[task][position] = score[response]
    return {
        task: [by_position[position] for position in range(sizes[task])]
        for task, by_position in found.items()
        if len(by_position) == sizes[task]
    }


def _measured(project: Project, judge: Model) -> Iterable[Difference]:
    rankings = _rankings(project)
    scores = scores_of_tasks(list(rankings), judge)
    trained = trained_tasks(judge)
    for task, (rows, use_case, language) in rankings.items():
        if task not in scores:
            continue
        whole = _of_task(scores[task], rows)
        if whole.bits_per_pair is not None:
            yield Difference(
                task_id=task,
                bits=whole.bits_per_pair,
                against=whole.num_against / whole.num_pairs,
                num_pairs=whole.num_pairs,
                num_labelers=len(rows),
                use_case=use_case,
                language=language,
                has_trained=task in trained,
            )


def _of_task(scores: Sequence[float], rows: Sequence[Sequence[int]]) -> Surprise:
    return reduce(add, (uncertainty.surprise(scores, ranks) for ranks in rows), NO_SURPRISE)


def _rankings(project: Project) -> Mapping[int, tuple[list[Sequence[int]], str, str]]:
    """By task: the ranks that models may learn from, and what its prompt is."""
    counted = Ranking.objects.trainable().filter(
        task__project=project, task__num_responses__lte=MAX_RESPONSES_FOR_PEOPLE, ranks__len__gte=2
    )
    columns = ("task", "ranks", "task__prompt__use_case", "task__prompt__language")
    found: dict[int, tuple[list[Sequence[int]], str, str]] = {}
    for task, ranks, use_case, language in counted.order_by("-pk").values_list(*columns)[:MOST_RANKINGS]:
        found.setdefault(task, ([], use_case or "", language or ""))[0].append(ranks)
    return found


def _key(project: Project, judge: Model) -> str:
    rankings = Ranking.objects.trainable().filter(task__project=project).aggregate(num=Count("pk"), last=Max("pk"))
    num_void = RankingVoid.objects.filter(ranking__task__project=project).count()
    scores = ResponseScore.objects.by(judge).aggregate(num=Count("pk"), run=Max("run"))
    parts = [judge.pk, rankings["num"], rankings["last"], num_void, scores["num"], scores["run"]]
    return f"differences:1:{project.pk}:" + ":".join(map(str, parts))
