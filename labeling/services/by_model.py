"""What people said of each model's responses: ratings and flags. InstructGPT's table 3, for one's own models.

A figure is a mean over judged responses; intervals redraw whole tasks.

Shapes: E entries (a task and a model), M models, S sums, B resamples; the first of 1 + B is the data as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from django.db import connection
from django.utils import timezone

from labeling.models import Model, Project, Ranking
from labeling.models.rankings import JudgementQuerySet
from labeling.services.agreement.judged import Ints
from labeling.services.agreement.resampling import Figure, Floats, Resamples, figures, ratio, rows
from labeling.services.agreement.scope import Scope

NOT_RATED, NOT_JUDGED = "nobody has rated it", "nothing to count"


@dataclass(frozen=True)
class Judged:
    """One model. `flags` are shares of its judged responses, by flag."""

    model_id: int
    name: str
    num_judged: int  # responses in rankings; one in two rankings counts twice
    rating: Figure  # 1 to 7
    unacceptable: Figure  # share in rankings whose labeler said that none is acceptable
    flags: dict[str, Figure]


@dataclass(frozen=True)
class Report:
    scope: Scope
    made_at: datetime
    models: list[Judged]  # best rated first, then by name
    flags: list[str]  # those that were given at all, in the project's order
    num_rankings: int
    num_tasks: int


def report(project: Project, scope: Scope) -> Report:
    return of_rankings(project, scope.of(Ranking.objects.counted()).filter(task__project=project), scope)


def of_rankings(project: Project, rankings: JudgementQuerySet, scope: Scope) -> Report:
    """`rankings`: of this project, all to be counted."""
    flags = list(project.flags)
    task_E, model_E, amounts_ES = _entries(rankings, flags)
    return of_entries(project, scope, flags, task_E, model_E, amounts_ES, num_rankings=rankings.count())


def of_entries(
    project: Project,
    scope: Scope,
    flags: Sequence[str],
    task_E: Ints,
    model_E: Ints,
    amounts_ES: Floats,
    *,
    num_rankings: int,
) -> Report:
    """`amounts_ES`: responses judged, rated, the sum of ratings, none acceptable, then each flag."""
    tasks, number_E = np.unique(task_E, return_inverse=True)
    models, group_E = np.unique(model_E, return_inverse=True)
    found = rows(task=number_E, group=group_E, num_groups=len(models))
    amounts_RS = found.add_up(amounts_ES)
    sums_MSB = Resamples(len(tasks)).all_sums(found, amounts_RS)
    given = [place for place in range(len(flags)) if sums_MSB[:, 4 + place, 0].any()]

    def shares(place: int, of: int, why_not: str) -> list[Figure]:
        return figures(
            ratio(sums_MSB[:, place], sums_MSB[:, of]),
            num=sums_MSB[:, of, 0],
            num_tasks=found.num_tasks(amounts_RS[:, of]),
            why_not=[why_not] * len(models),
        )

    ratings, refused = shares(2, 1, NOT_RATED), shares(3, 0, NOT_JUDGED)
    flagged = {flags[place]: shares(4 + place, 0, NOT_JUDGED) for place in given}
    names = dict(Model.objects.filter(project=project).values_list("pk", "name"))
    judged = [
        Judged(
            model_id=int(model),
            name=names.get(int(model), ""),
            num_judged=int(sums_MSB[row, 0, 0]),
            rating=ratings[row],
            unacceptable=refused[row],
            flags={flag: of_models[row] for flag, of_models in flagged.items()},
        )
        for row, model in enumerate(models)
    ]
    return Report(
        scope=scope,
        made_at=timezone.now(),
        models=sorted(judged, key=_best_first),
        flags=list(flagged),
        num_rankings=num_rankings,
        num_tasks=len(tasks),
    )


def _best_first(one: Judged) -> tuple[float, str]:
    return (-one.rating.value if one.rating.value is not None else 0.0, one.name)


# Ratings and flags are kept by position; SQL arrays begin at one.
_ENTRIES: Final = """
SELECT r.task_id, x.model_id, count(*), count(r.ratings[p.position + 1]),
       coalesce(sum(r.ratings[p.position + 1]), 0), count(*) FILTER (WHERE r.outcome = 'none_acceptable') {flags}
  FROM ({rankings}) r
  JOIN labeling_taskresponse p ON p.task_id = r.task_id
  JOIN labeling_response x ON x.id = p.response_id
 GROUP BY 1, 2 ORDER BY 1, 2
"""
_FLAG: Final = ", count(*) FILTER (WHERE jsonb_exists(r.flags -> p.position::text, %s))"


def _entries(rankings: Any, flags: Sequence[str]) -> tuple[Ints, Ints, Floats]:
    """Counted in the database: a row for each task and model, whatever the number of rankings."""
    wanted = rankings.order_by().values("task_id", "ratings", "flags", "outcome")
    sql, params = wanted.query.sql_with_params()
    text = _ENTRIES.format(rankings=sql, flags=_FLAG * len(flags))  # of our own texts; values go as parameters
    with connection.cursor() as cursor:
        cursor.execute(text, [*flags, *params])
        found = np.array(cursor.fetchall(), dtype=np.float64).reshape(-1, 6 + len(flags))
    return found[:, 0].astype(np.int64), found[:, 1].astype(np.int64), found[:, 2:]
