"""All that the agreement page shows, as plain figures that can be kept."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from django.db.models.functions import TruncDate
from django.utils import timezone

from labeling.models import Project, Task
from labeling.services.agreement.couples import CREDIT, NUM_KINDS, WEIGHT
from labeling.services.agreement.distances import ByDistance, by_distance
from labeling.services.agreement.grading import TIE_RULES, TieRule
from labeling.services.agreement.judged import judged
from labeling.services.agreement.measures import Line, Measures
from labeling.services.agreement.scope import Coverage, Scope, counted, coverage

NUM_WORST = 100
CHUNK = 5_000


@dataclass(frozen=True)
class WorstTask:
    """A task on which its labelers agree least, under one tie rule."""

    task_id: int
    share: float
    num_pairs: int


@dataclass(frozen=True)
class Report:
    scope: Scope
    made_at: datetime
    coverage: Coverage
    overall: Line
    labelers: list[Line]  # key: the labeler's id
    pairs: list[Line]  # key: two labelers' ids
    by: dict[str, list[Line]]  # "use_case", "language", "dataset", "week", "num_responses"
    distances: ByDistance
    worst: dict[TieRule, list[WorstTask]]
    num_resamples: int


def report(project: Project, scope: Scope) -> Report:
    """Reads every ranking of the scope: seconds where there are hundreds of thousands."""
    dated = counted(project, scope).order_by("pk").annotate(day=TruncDate("created_at"))
    rows = dated.values_list("task", "labeler", "ranks", "day")
    weeks: dict[int, date] = {}
    found = judged(_noting_weeks(rows.iterator(chunk_size=CHUNK), weeks))
    measures = Measures(found)
    return Report(
        scope=scope,
        made_at=timezone.now(),
        coverage=coverage(
            project,
            scope,
            num_shared=found.num_rankings,
            num_shared_tasks=found.num_tasks,
            num_labelers=len(found.labeler_keys),
        ),
        overall=measures.overall(),
        labelers=sorted(measures.by_labeler(), key=_fewest_last),
        pairs=measures.by_pair(),
        by=_by_facts(project, measures, weeks),
        distances=by_distance(found, measures.resamples),
        worst={rule: worst(measures, rule) for rule in TIE_RULES},
        num_resamples=measures.resamples.num,
    )


def _noting_weeks(rows: Iterable[Any], weeks: dict[int, date]) -> Iterable[tuple[int, int, list[int]]]:
    """A task belongs to the week (its Monday) of its last ranking: only then could anybody agree."""
    for task, labeler, ranks, day in rows:
        monday = day - timedelta(days=day.weekday())
        weeks[task] = max(monday, weeks.get(task, monday))
        yield task, labeler, ranks


def _by_facts(project: Project, measures: Measures, weeks: dict[int, date]) -> dict[str, list[Line]]:
    task_keys = measures.judged.task_keys.tolist()
    facts = _facts(project, set(task_keys))
    found = {name: _lines(measures, [facts[task][i] for task in task_keys]) for i, name in enumerate(FACTS)}
    found["week"] = sorted(_lines(measures, [weeks[task] for task in task_keys]), key=_by_key)
    found["num_responses"].sort(key=_by_key)
    return found


FACTS = {
    "use_case": "prompt__use_case",
    "language": "prompt__language",
    "dataset": "prompt__dataset",
    "num_responses": "num_responses",
}


def _facts(project: Project, tasks: set[int]) -> dict[int, tuple[Any, ...]]:
    rows = Task.objects.filter(project=project, num_responses__gt=0).values_list("pk", *FACTS.values())
    return {row[0]: row[1:] for row in rows.iterator(chunk_size=CHUNK) if row[0] in tasks}


def _lines(measures: Measures, fact_T: list[Hashable]) -> list[Line]:
    keys = list(dict.fromkeys(fact_T))
    number = {key: index for index, key in enumerate(keys)}
    group_T = np.array([number[fact] for fact in fact_T], dtype=np.int64)
    return sorted(measures.by_task(group_T, keys), key=_fewest_last)


def worst(measures: Measures, rule: TieRule, *, num: int = NUM_WORST) -> list[WorstTask]:
    """Lowest agreement first; of equals, those with more comparisons."""
    couples, num_tasks = measures.couples, measures.judged.num_tasks
    kinds = np.zeros((num_tasks, NUM_KINDS))
    np.add.at(kinds, couples.task_C, couples.kinds)
    credit, weight = kinds @ np.array(CREDIT[rule]), kinds @ np.array(WEIGHT[rule])
    share = np.divide(credit, weight, out=np.full(num_tasks, np.inf), where=weight > 0)
    order = np.lexsort((-weight, share))[:num]
    keys = measures.judged.task_keys
    return [WorstTask(int(keys[t]), float(share[t]), round(weight[t])) for t in order if weight[t] and share[t] < 1]


def _fewest_last(line: Line) -> tuple[int, int]:
    return -line.num_tasks, -line.num_pairs


def _by_key(line: Line) -> Any:
    return line.key
