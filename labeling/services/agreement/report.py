"""All that the agreement page shows, as plain figures that can be kept."""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from django.utils import timezone

from labeling.models import Project, Task
from labeling.services.agreement.couples import CREDIT, WEIGHT
from labeling.services.agreement.distances import ByDistance, by_distance
from labeling.services.agreement.grading import TIE_RULES, TieRule
from labeling.services.agreement.judged import Judged, of_columns
from labeling.services.agreement.measures import Line, Measures
from labeling.services.agreement.reading import Dated, read
from labeling.services.agreement.scope import Coverage, Scope, counted, coverage

NUM_WORST = 100
CHUNK = 5_000
EPOCHS_WEEKDAY = 3  # 1970-01-01 was a Thursday


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
    """Reads every ranking of the scope: about a second for each hundred thousand."""
    dated = read(counted(project, scope))
    found = of_columns(dated.columns)
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
        by=_by_facts(project, measures, _mondays(found, dated)),
        distances=by_distance(found, measures.resamples),
        worst={rule: worst(measures, rule) for rule in TIE_RULES},
        num_resamples=measures.resamples.num,
    )


def _mondays(found: Judged, dated: Dated) -> list[date]:
    """A task belongs to the week (its Monday) of its last ranking: only then could anybody agree."""
    is_shared = np.isin(dated.columns.task_R, found.task_keys)
    last_T = np.zeros(found.num_tasks, dtype=np.int64)
    np.maximum.at(last_T, np.searchsorted(found.task_keys, dated.columns.task_R[is_shared]), dated.day_R[is_shared])
    days = last_T.astype("datetime64[D]")
    mondays: list[date] = (days - (last_T + EPOCHS_WEEKDAY) % 7).tolist()
    return mondays


def _by_facts(project: Project, measures: Measures, mondays: list[date]) -> dict[str, list[Line]]:
    task_keys = measures.judged.task_keys.tolist()
    facts = _facts(project, set(task_keys))
    found = {name: _lines(measures, [facts[task][i] for task in task_keys]) for i, name in enumerate(FACTS)}
    found["week"] = sorted(_lines(measures, list(mondays)), key=_by_key)
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
    num_tasks = measures.judged.num_tasks
    kinds = measures.kinds_by_task()
    credit, weight = kinds @ np.array(CREDIT[rule]), kinds @ np.array(WEIGHT[rule])
    share = np.divide(credit, weight, out=np.full(num_tasks, np.inf), where=weight > 0)
    order = np.lexsort((-weight, share))[:num]
    keys = measures.judged.task_keys
    return [WorstTask(int(keys[t]), float(share[t]), round(weight[t])) for t in order if weight[t] and share[t] < 1]


def _fewest_last(line: Line) -> tuple[int, int]:
    return -line.num_tasks, -line.num_pairs


def _by_key(line: Line) -> Any:
    return line.key
