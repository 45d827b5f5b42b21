"""The leaderboard: models by strength, who beat whom how often, and how many comparisons more would settle it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import numpy as np
from django.utils import timezone

from labeling.models import Model, Project, TaskResponse
from labeling.services.agreement.resampling import Figure, Resamples, figure
from labeling.services.agreement.scope import Scope, counted
from labeling.services.leaderboard import connected
from labeling.services.leaderboard.choices import (
    Choices,
    Floats,
    Judgement,
    bradley_terry,
    by_rungs,
    pairs,
    plackett_luce,
)
from labeling.services.leaderboard.fit import resampled, strengths

Method = Literal["plackett_luce", "bradley_terry"]
METHODS: dict[Method, Callable[..., Choices]] = {"plackett_luce": plackett_luce, "bradley_terry": bradley_terry}
POINTS = 400 / np.log(10)  # Elo: 400 points are odds of ten to one
MIDDLE = 1000
WANTED_WIDTH = 0.05  # an interval of ± 5 points of winning chance
CHUNK = 5_000
ALONE = "never ranked beside another model"


@dataclass(frozen=True)
class Place:
    """One model. `wins` is the chance that its response is better than one of another model of its part."""

    model_id: int
    name: str
    score: Figure
    wins: Figure
    num_comparisons: int  # with responses of other models
    num_rankings: int
    more_wanted: int | None  # comparisons until the interval is ± 5 points; 0 it is, None nobody can tell
    never: str = ""  # "lost" or "won": the prior alone keeps the score finite


@dataclass(frozen=True)
class Duel:
    share: float | None  # ties are half a win
    num: int


@dataclass(frozen=True)
class Part:
    """Models that rankings join. Scores of different parts cannot be compared."""

    places: list[Place]
    duels: list[list[Duel]]  # by the order of places

    @property
    def rows(self) -> list[tuple[Place, list[Duel]]]:
        return list(zip(self.places, self.duels, strict=True))


@dataclass(frozen=True)
class Board:
    scope: Scope
    method: Method
    made_at: datetime
    parts: list[Part]
    never_compared: list[str]  # models only ranked against themselves
    num_rankings: int  # in which two models met
    num_of_one_model: int  # rankings of responses of one model: they say nothing here
    num_tasks: int


def board(project: Project, scope: Scope, *, method: Method = "plackett_luce") -> Board:
    """Reads every ranking of the scope: seconds where there are hundreds of thousands."""
    models_of_task = _models_of_task(project)
    rankings = list(counted(project, scope).order_by("pk").values_list("task", "ranks").iterator(CHUNK))
    names = dict(Model.objects.filter(project=project).values_list("pk", "name"))
    return of_rankings([(task, models_of_task[task], ranks) for task, ranks in rankings], names, scope, method)


def of_rankings(
    rankings: Sequence[tuple[int, Sequence[int], Sequence[int]]], names: dict[int, str], scope: Scope, method: Method
) -> Board:
    """`rankings` as (task, models by position, ranks)."""
    seen = sorted({model for _, models, _ in rankings for model in models})
    telling = [row for row in rankings if len(set(row[1])) > 1]
    task_number = {task: number for number, task in enumerate(sorted({task for task, _, _ in telling}))}
    number = {model: index for index, model in enumerate(seen)}
    judgements = [
        Judgement(task_number[task], [number[model] for model in models], ranks) for task, models, ranks in telling
    ]
    ranked = _Ranked(judgements, [(model, names.get(model, "")) for model in seen], num_tasks=len(task_number))
    found = ranked.parts(method)
    return Board(
        scope=scope,
        method=method,
        made_at=timezone.now(),
        parts=[part for part in found if len(part.places) > 1],
        never_compared=[part.places[0].name for part in found if len(part.places) == 1],
        num_rankings=len(telling),
        num_of_one_model=len(rankings) - len(telling),
        num_tasks=len(task_number),
    )


class _Ranked:
    def __init__(self, judgements: Sequence[Judgement], models: Sequence[tuple[int, str]], *, num_tasks: int) -> None:
        self.judgements, self.models, self.num_tasks = judgements, models, num_tasks
        self.won_MM, self.num_MM = _duels(judgements, num_models=len(models))
        self.num_rankings_M = np.bincount(
            [model for judgement in judgements for model in set(judgement.models)], minlength=len(models)
        )
        self.num_tasks_M = np.bincount(
            [model for _, model in {(j.task, model) for j in judgements for model in j.models}], minlength=len(models)
        )

    def parts(self, method: Method) -> list[Part]:
        sets = [(int(a), int(b)) for a, b in np.argwhere(self.num_MM > 0)]
        groups = connected.parts(sets, num_models=len(self.models))
        choices = METHODS[method](self.judgements, num_tasks=self.num_tasks, num_models=len(self.models))
        resamples = Resamples(self.num_tasks)
        log_MB = resampled(choices, strengths(choices), resamples)
        return [self._part(group, log_MB[group]) for group in groups]

    def _part(self, group: list[int], log_MB: Floats) -> Part:
        log_MB = log_MB - log_MB.mean(axis=0)
        order = np.argsort(-log_MB[:, 0], kind="stable")
        chance_MB = _chances_against_others(log_MB)
        places = [self._place(group, row, log_MB[row], chance_MB[row]) for row in order]
        ids = [group[row] for row in order]
        return Part(places=places, duels=[[self._duel(one, other) for other in ids] for one in ids])

    def _place(self, group: list[int], row: int, log_B: Floats, chance_B: Floats) -> Place:
        model, never = group[row], self._never(group[row])
        score, wins = (self._figure(values_B, model=model) for values_B in (MIDDLE + POINTS * log_B, chance_B))
        if never:  # the prior alone holds it, and resamples of the same wins hide how little is known
            score, wins = (replace(known, low=None, high=None, why_not=f"never {never}") for known in (score, wins))
        return Place(
            model_id=self.models[model][0],
            name=self.models[model][1],
            score=score,
            wins=wins,
            num_comparisons=int(self.num_MM[model].sum()),
            num_rankings=int(self.num_rankings_M[model]),
            more_wanted=more_wanted(wins),
            never=never,
        )

    def _figure(self, values_B: Floats, *, model: int) -> Figure:
        num = int(self.num_MM[model].sum())
        known_B = values_B if num else np.full_like(values_B, np.nan)
        return figure(known_B, num=num, num_tasks=int(self.num_tasks_M[model]), why_not=ALONE)

    def _never(self, model: int) -> str:
        won, num = self.won_MM[model].sum(), self.num_MM[model].sum()
        return "" if 0 < won < num or not num else "lost" if won == num else "won"

    def _duel(self, one: int, other: int) -> Duel:
        num = int(self.num_MM[one, other])
        return Duel(share=float(self.won_MM[one, other] / num) if num else None, num=num)


def more_wanted(wins: Figure) -> int | None:
    """An interval narrows with the root of the number of comparisons: a rough count, to two digits."""
    if wins.half_width is None or not wins.half_width:
        return None
    more = wins.num * ((wins.half_width / WANTED_WIDTH) ** 2 - 1)
    return 0 if more <= 0 else int(float(f"{more:.2g}")) or 1


def _chances_against_others(log_MB: Floats) -> Floats:
    """The mean chance to beat one of the others, each of them as likely."""
    apart_MMB = log_MB[:, None] - log_MB[None]
    chance_MMB = 1 / (1 + np.exp(-apart_MMB))
    chances: Floats = (chance_MMB.sum(axis=1) - 0.5) / max(1, len(log_MB) - 1)
    return chances


def _duels(judgements: Sequence[Judgement], *, num_models: int) -> tuple[Floats, Floats]:
    """How often the model of the row won against that of the column, and of how many times they met."""
    won, met = np.zeros((num_models, num_models)), np.zeros((num_models, num_models))
    for found in by_rungs(judgements):
        for (a, b), _, (first, second) in pairs(found.rungs):
            one, other = found.models_RK[:, a], found.models_RK[:, b]
            for model, rival, share in ((one, other, first), (other, one, second)):
                np.add.at(won, (model, rival), share)
                np.add.at(met, (model, rival), 1)
    np.fill_diagonal(won, 0)
    np.fill_diagonal(met, 0)
    return won, met


def _models_of_task(project: Project) -> dict[int, list[int]]:
    rows = TaskResponse.objects.filter(task__project=project).order_by("task", "position")
    found: dict[int, list[int]] = {}
    for task, model in rows.values_list("task", "response__model").iterator(CHUNK):
        found.setdefault(task, []).append(model)
    return found
