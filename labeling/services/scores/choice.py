"""What to rank next, by reward models: where their margins are small, or where several of them disagree.

Worth is computed of the responses that a task of the prompt would have, and only of prompts that could become one: what
is chosen is asked. The random share is drawn from the same prompts, scored or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db.models import QuerySet

from labeling.models import Model, Prompt
from labeling.services import tasks
from labeling.services.scores import reading
from labeling.services.tasks import TaskCounts
from training.contract import uncertainty

MARGIN: Final = "margin"
ENSEMBLE: Final = "ensemble"
WAYS: Final = (MARGIN, ENSEMBLE)


@dataclass
class Worth:
    """The prompts that can become a task, each with its worth; None where a response has no score."""

    of_prompt: dict[int, float | None] = field(default_factory=dict)
    num_without_task: int = 0

    @property
    def num_unscored(self) -> int:
        return sum(value is None for value in self.of_prompt.values())


def worth(
    prompts: QuerySet[Prompt], *, way: str, num_responses: int, judges: Sequence[Model], model: Model | None = None
) -> Worth:
    """Between 0 and 1 each: the entropy of the pairs (`margin`), or the part of it that the judges disagree on
    (`ensemble`). `model`: whose responses the tasks are to be of; None is the newest first."""
    found = Worth()
    for batch in tasks.batches(prompts):
        of_task = _responses_of_tasks(batch, model, num_responses)
        found.num_without_task += len(batch) - len(of_task)
        scores = reading.of_responses((pk for responses in of_task.values() for pk in responses), judges)
        for prompt, responses in of_task.items():
            found.of_prompt[prompt] = _worth(way, responses, scores)
    return found


def _responses_of_tasks(prompts: list[Prompt], model: Model | None, num: int) -> dict[int, list[int]]:
    """By prompt, the responses that `tasks.make_ranking_tasks` would take; none where it would refuse."""
    candidates, existing = tasks.candidates(prompts, model), tasks.response_sets(prompts)
    found: dict[int, list[int]] = {}
    for prompt in prompts:
        responses = tasks.usable_of(candidates[prompt.pk], TaskCounts())[:num]
        if len(responses) == num and not prompt.is_retired and frozenset(responses) not in existing[prompt.pk]:
            found[prompt.pk] = responses
    return found


def _worth(way: str, responses: Sequence[int], scores: Mapping[int, Sequence[float]]) -> float | None:
    if any(pk not in scores for pk in responses):
        return None
    scores_MK = list(zip(*(scores[pk] for pk in responses), strict=True))
    return {MARGIN: uncertainty.pair_entropy, ENSEMBLE: uncertainty.model_disagreement}[way](scores_MK)
