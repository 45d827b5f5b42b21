"""What people said in an evaluation, as judgements of models: blind no more."""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from labeling.models import Evaluation, EvaluationItem, Ranking, TaskResponse
from labeling.models.rankings import JudgementQuerySet
from labeling.services.evaluations import wishes


class Judgement(NamedTuple):
    """`prompt` is its number in the lot; `models` are positions of entrants. Of equal ranks it is a tie."""

    prompt: int
    models: tuple[int, ...]
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Read:
    """`same`: meetings in which all said the same, so that nobody was asked."""

    judgements: list[Judgement]
    same: list[Judgement]
    num_none_acceptable: int  # without an order: a tie


def meetings(evaluation: Evaluation) -> list[tuple[int, ...]]:
    """Who meets in each comparison of a prompt."""
    entrants = list(evaluation.entrants.all())
    return wishes.meetings(evaluation.kind, len(entrants), baseline=evaluation.baseline.position)


def counted(evaluation: Evaluation) -> JudgementQuerySet:
    return Ranking.objects.counted().filter(task__evaluation=evaluation)


def read(evaluation: Evaluation) -> Read:
    models_of_task, prompt_of_task = _models(evaluation), _prompts(evaluation)
    judgements, num_without = [], 0
    for task, ranks in counted(evaluation).order_by("pk").values_list("task", "ranks"):
        models = models_of_task[task]
        num_without += not ranks
        judgements.append(Judgement(prompt_of_task[task], models, tuple(ranks) or (1,) * len(models)))
    reached = max((one.prompt for one in judgements), default=0)
    return Read(judgements, _same(evaluation, reached), num_without)


def _models(evaluation: Evaluation) -> dict[int, tuple[int, ...]]:
    """By task: whose response stands at each of its positions."""
    place_of = dict(evaluation.entrants.values_list("model", "position"))
    found: dict[int, list[int]] = defaultdict(list)
    rows = TaskResponse.objects.filter(task__evaluation=evaluation).order_by("task", "position")
    for task, model in rows.values_list("task", "response__model"):
        found[task].append(place_of[model])
    return {task: tuple(models) for task, models in found.items()}


def _prompts(evaluation: Evaluation) -> dict[int, int]:
    items = EvaluationItem.objects.filter(prompt__evaluation=evaluation, task__isnull=False)
    return dict(items.values_list("task", "prompt__number"))


def _same(evaluation: Evaluation, reached: int) -> list[Judgement]:
    """Those whose turn has come: tasks go out in the order of the lot, and ties that come at once would hide the rest
    until it is judged."""
    items = EvaluationItem.objects.filter(prompt__evaluation=evaluation, left_out=EvaluationItem.LeftOut.SAME)
    if evaluation.state != Evaluation.State.DONE:
        items = items.filter(prompt__number__lte=reached)
    kinds = meetings(evaluation)
    rows = items.values_list("prompt__number", "number")
    return [Judgement(prompt, kinds[number], (1,) * len(kinds[number])) for prompt, number in rows]
