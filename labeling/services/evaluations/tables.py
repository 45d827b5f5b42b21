"""An evaluation as tables to take away, and prompt by prompt. No labeler is named."""

from collections.abc import Iterator
from dataclasses import dataclass

from labeling.models import Evaluation, EvaluationItem
from labeling.services.agreement import Figure
from labeling.services.evaluations import reading
from labeling.services.evaluations.results import Report
from labeling.services.imports import cell

WIN_RATES = (
    "model", "rival", "rival_is_baseline", "win_rate", "low", "high", "prompts", "judgements", "won", "tied", "lost",
    "prompts_same_text",
)  # fmt: skip
PROMPTS = ("prompt_number", "prompt", "task", "model", "rival", "score", "judgements", "prompt_text")


@dataclass(frozen=True)
class Item:
    """One prompt for two models: `score` is 1 where everybody preferred the first."""

    number: int
    score: float
    num_judgements: int
    item: EvaluationItem


def win_rates(report: Report) -> Iterator[list[str]]:
    yield list(WIN_RATES)
    for (one, other), rate in sorted(report.win_rates.items()):
        model, rival = report.entrants[one], report.entrants[other]
        figure = rate.figure
        counts = (figure.num_tasks, figure.num, rate.won, rate.tied, rate.lost, rate.num_same)
        names = [cell(model.name), cell(rival.name), "yes" if rival.is_baseline else "no"]
        yield [*names, *_ends(figure), *(str(count) for count in counts)]


def prompts(evaluation: Evaluation, report: Report) -> Iterator[list[str]]:
    yield list(PROMPTS)
    for one, other in sorted(pair for pair in report.win_rates if pair[0] < pair[1]):
        names = [cell(report.entrants[place].name) for place in (one, other)]
        for row in worst(evaluation, report, model=one, rival=other):
            prompt, task = row.item.prompt.prompt, row.item.task
            uids = [str(prompt.uid), str(task.uid) if task else ""]
            yield [
                str(row.number), *uids, *names, f"{row.score:.4f}", str(row.num_judgements), cell(prompt.text),
            ]  # fmt: skip


def worst(evaluation: Evaluation, report: Report, *, model: int, rival: int) -> list[Item]:
    """The prompts of two models, the worst for the first one first."""
    rate = report.win_rates.get((model, rival))
    if rate is None:
        return []
    numbers = [number for number, models in enumerate(reading.meetings(evaluation)) if {model, rival} <= set(models)]
    items = EvaluationItem.objects.filter(prompt__evaluation=evaluation, number__in=numbers)
    items = items.filter(prompt__number__in=list(rate.scores)).select_related("prompt__prompt", "task")
    item_of = {item.prompt.number: item for item in items.defer("prompt__prompt__messages")}
    found = [
        Item(number, sum(given) / len(given), len(given) if item_of[number].task_id else 0, item_of[number])
        for number, given in rate.scores.items()
    ]
    return sorted(found, key=lambda one: (one.score, -one.num_judgements, one.number))


def _ends(figure: Figure) -> list[str]:
    return ["" if value is None else f"{value:.6f}" for value in (figure.value, figure.low, figure.high)]
