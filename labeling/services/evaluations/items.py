"""The tasks of an evaluation: for each prompt and each meeting of models one, blind, with one response of each model.

Where all responses of a meeting say the same nobody is asked: that is a tie. Where one is missing, or names its own
model, the meeting is left out, and the reason is kept.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.db.models.functions import MD5

from labeling.models import Evaluation, EvaluationItem, EvaluationPrompt, Response, Task, TaskResponse
from labeling.services import tasks
from labeling.services.evaluations import wishes
from labeling.services.tasks import BATCH, Candidate, Template

LeftOut = EvaluationItem.LeftOut
Answers = Mapping[int, Mapping[int, Candidate]]  # by the position of the model, then by prompt


@dataclass(frozen=True)
class Meeting:
    """What becomes of one comparison of a prompt: `responses` to ask about, or why not."""

    prompt: EvaluationPrompt
    number: int
    responses: list[int]
    left_out: str = ""


def of_wave(evaluation: Evaluation) -> QuerySet[EvaluationPrompt]:
    return EvaluationPrompt.objects.filter(evaluation=evaluation, wave=evaluation.wave)


def make(evaluation: Evaluation) -> int:
    """The wave's tasks, in the order of the lot. How many. Call it with the evaluation's row locked."""
    tasks.one_at_a_time(evaluation.project)
    rows = list(of_wave(evaluation).select_related("prompt").defer("prompt__text").order_by("number"))
    return sum(_make_batch(evaluation, rows[first : first + BATCH]) for first in range(0, len(rows), BATCH))


def _make_batch(evaluation: Evaluation, prompts: list[EvaluationPrompt]) -> int:
    found = _meetings(evaluation, prompts)
    asked = [meeting for meeting in found if not meeting.left_out]
    template = _template(evaluation)
    made = tasks.insert([template.task(meeting.prompt.prompt) for meeting in asked])
    pairs = list(zip(asked, made, strict=True))
    TaskResponse.objects.bulk_create(place for one, task in pairs for place in _places(evaluation, one, task))
    items = [EvaluationItem(prompt=one.prompt, number=one.number, task=task) for one, task in pairs]
    items += [
        EvaluationItem(prompt=one.prompt, number=one.number, left_out=one.left_out) for one in found if one.left_out
    ]
    EvaluationItem.objects.bulk_create(items)
    return len(made)


def _template(evaluation: Evaluation) -> Template:
    """Two are compared on one page with one key; rated they are where they are ranked."""
    is_ranking = evaluation.kind == Evaluation.Kind.RANKING
    return Template(
        project=evaluation.project,
        kind=Task.Kind.RANK if is_ranking or evaluation.rate_first else Task.Kind.COMPARE,
        num_wanted=evaluation.num_wanted,
        priority=evaluation.priority,
        num_responses=evaluation.entrants.count() if is_ranking else 2,
        rate_first=evaluation.rate_first,
        evaluation=evaluation,
    )


def _places(evaluation: Evaluation, meeting: Meeting, task: Task) -> list[TaskResponse]:
    """By a lot that can be drawn again, and by nobody who does not know the evaluation's id: labelers never see it."""
    lot = random.Random(f"{evaluation.uid}:{evaluation.seed}:{meeting.prompt.number}:{meeting.number}")  # noqa: S311
    return tasks.places(task, meeting.responses, lot)


def _meetings(evaluation: Evaluation, prompts: list[EvaluationPrompt]) -> list[Meeting]:
    entrants = list(evaluation.entrants.select_related("model"))
    ids = [row.prompt_id for row in prompts]
    sampling = wishes.settings_of(evaluation)
    answers: Answers = {
        entrant.position: _first_of_each(wishes.fresh(entrant.model, sampling=sampling).filter(prompt__in=ids))
        for entrant in entrants
    }
    kinds = wishes.meetings(evaluation.kind, len(entrants), baseline=evaluation.baseline.position)
    return [_meeting(row, number, who, answers) for row in prompts for number, who in enumerate(kinds)]


def _first_of_each(responses: QuerySet[Response]) -> dict[int, Candidate]:
    """By prompt: the first response that does not name its model, else the first that does."""
    found: dict[int, Candidate] = {}
    rows = responses.order_by("prompt", "names_itself", "sample_index")
    for prompt, pk, text_hash, names_itself in rows.values_list("prompt", "pk", MD5("text"), "names_itself"):
        found.setdefault(prompt, Candidate(pk, text_hash, names_itself))
    return found


def _meeting(row: EvaluationPrompt, number: int, who: Sequence[int], answers: Answers) -> Meeting:
    found = [candidate for position in who if (candidate := answers[position].get(row.prompt_id))]
    left_out = ""
    if row.prompt.is_retired:
        left_out = LeftOut.RETIRED
    elif len(found) < len(who):
        left_out = LeftOut.MISSING
    elif any(candidate.names_itself for candidate in found):
        left_out = LeftOut.NAMES_ITSELF
    elif len({candidate.text_hash for candidate in found}) == 1:
        left_out = LeftOut.SAME
    return Meeting(row, number, [candidate.pk for candidate in found], str(left_out))
