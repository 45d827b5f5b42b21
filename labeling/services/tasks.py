"""Making tasks of prompts and responses, and changing how many judgements each wants while people work."""

import logging
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import MD5

from labeling.models import (
    MAX_RESPONSES_FOR_PEOPLE,
    MIN_RESPONSES,
    Evaluation,
    Model,
    Project,
    Prompt,
    PromptBrief,
    Response,
    Round,
    Slot,
    Task,
    TaskResponse,
    User,
)
from labeling.services.selection import Choice

log = logging.getLogger(__name__)
BATCH = 500

TOO_FEW = "fewer responses than needed"
SAME_RESPONSES = "already a task with the same responses"
HAS_DEMONSTRATION_TASK = "already a task for a demonstration"
RETIRED = "the prompt is retired"


class TaskError(Exception):
    """What was asked cannot be done; the text is for the manager."""


@dataclass
class TaskCounts:
    """Which prompts got a task, which did not and why."""

    task_ids: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)  # (prompt id, reason)
    num_names_itself: int = 0  # responses left out because they seem to name their model
    num_same_text: int = 0  # responses left out because another one says exactly the same
    num_unscored: int = 0  # prompts that a choice by reward models could not tell anything of
    num_passed_over: int = 0  # prompts that it left out, because no task can be made of them

    @property
    def num_made(self) -> int:
        return len(self.task_ids)

    @property
    def by_reason(self) -> dict[str, int]:
        return dict(Counter(reason for _, reason in self.refused))


@dataclass(frozen=True)
class Candidate:
    pk: int
    text_hash: str
    names_itself: bool


@transaction.atomic
def make_ranking_tasks(
    *,
    project: Project,
    prompts: QuerySet[Prompt] | Iterable[Prompt],
    num_responses: int,
    num_wanted: int,
    user: User,
    rate_first: bool | None = None,
    priority: int = 0,
    round: Round | None = None,
    model: Model | None = None,
    kind: Task.Kind = Task.Kind.RANK,
    chosen: Sequence[Choice] = (),
) -> TaskCounts:
    """One task per prompt with `num_responses` of its responses: those of `model`, or of the newest models first.

    `chosen`: how the prompts were chosen (`selection.choose`). Tasks of one priority are handed out in the order in
    which they were made, so both streams come as evenly mixed as the prompts are given.
    """
    if not MIN_RESPONSES <= num_responses <= MAX_RESPONSES_FOR_PEOPLE:
        raise TaskError(f"People rank {MIN_RESPONSES} to {MAX_RESPONSES_FOR_PEOPLE} responses, not {num_responses}.")
    if kind == Task.Kind.COMPARE and num_responses != MIN_RESPONSES:
        raise TaskError("A comparison is of two responses.")
    template = Template(
        project=project,
        kind=kind,
        num_responses=num_responses,
        num_wanted=num_wanted,
        priority=priority,
        rate_first=project.rate_first if rate_first is None else rate_first,
        round=round,
        choices={choice.prompt_id: choice for choice in chosen},
    )
    one_at_a_time(project)
    counts = TaskCounts()
    for batch in batches(prompts):
        _make_batch(batch, template, model, counts)
    log.info(
        "%s ranking tasks made in %s by person %s, refused: %s",
        counts.num_made,
        project.slug,
        user.pk,
        counts.by_reason,
    )
    return counts


@transaction.atomic
def make_ranking_task(
    *, project: Project, prompt: Prompt, responses: Sequence[Response], num_wanted: int, user: User
) -> tuple[Task, bool]:
    """A task of exactly these responses, and whether it is new: one that has the same ones already is given back."""
    if not MIN_RESPONSES <= len(responses) <= MAX_RESPONSES_FOR_PEOPLE:
        raise TaskError(f"People rank {MIN_RESPONSES} to {MAX_RESPONSES_FOR_PEOPLE} responses, not {len(responses)}.")
    if prompt.is_retired:
        raise TaskError("The prompt is retired.")
    if len({response.text for response in responses}) < len(responses):
        raise TaskError("Two of the responses say exactly the same: there is nothing to rank between them.")
    if any(response.names_itself for response in responses):
        raise TaskError("One of the responses seems to say which model wrote it, so it cannot be ranked blind.")
    one_at_a_time(project)
    ids = [response.pk for response in responses]
    if same := _with_responses(prompt, ids):
        return same, False
    template = Template(
        project=project,
        kind=Task.Kind.RANK,
        num_responses=len(ids),
        num_wanted=num_wanted,
        priority=0,
        rate_first=project.rate_first,
    )
    [task] = insert([template.task(prompt)])
    TaskResponse.objects.bulk_create(places(task, ids))
    log.info("a ranking task made in %s by person %s", project.slug, user.pk)
    return task, True


@transaction.atomic
def make_demonstration_tasks(
    *,
    project: Project,
    prompts: QuerySet[Prompt] | Iterable[Prompt],
    user: User,
    num_wanted: int = 1,
    priority: int = 0,
    round: Round | None = None,
) -> TaskCounts:
    """Ask for a written answer to each prompt that is not asked for one already."""
    template = Template(
        project=project, kind=Task.Kind.DEMONSTRATE, num_wanted=num_wanted, priority=priority, round=round
    )
    one_at_a_time(project)
    counts = TaskCounts()
    for batch in batches(prompts):
        asked = set(
            Task.objects.filter(prompt__in=batch, kind=Task.Kind.DEMONSTRATE, purpose=Task.Purpose.WORK).values_list(
                "prompt_id", flat=True
            )
        )
        usable = [prompt for prompt in batch if prompt.pk not in asked and not prompt.is_retired]
        counts.refused += [
            (prompt.pk, RETIRED if prompt.is_retired else HAS_DEMONSTRATION_TASK)
            for prompt in batch
            if prompt not in usable
        ]
        counts.task_ids += [task.pk for task in insert([template.task(prompt) for prompt in usable])]
    log.info("%s demonstration tasks made in %s by person %s", counts.num_made, project.slug, user.pk)
    return counts


@transaction.atomic
def set_num_wanted(*, task: Task, num_wanted: int) -> None:
    """Want more or fewer judgements while people work: who holds the task keeps it."""
    locked = _lock(task)
    num_done = locked.slots.filter(state=Slot.State.DONE).count()
    if num_wanted < max(1, num_done):
        raise TaskError(f"{num_done} judgements are in already: {num_wanted} is too few.")
    locked.num_wanted = num_wanted
    locked.save(update_fields=["num_wanted"])
    fit_slots([locked.pk])


@transaction.atomic
def close(*, task: Task) -> bool:
    """Hand the task out no more. Who holds it may still finish. False if it was closed already."""
    locked = _lock(task)
    changed = Task.objects.filter(pk=locked.pk, state=Task.State.OPEN).update(state=Task.State.CLOSED)
    fit_slots([locked.pk])
    return changed == 1


@transaction.atomic
def reopen(*, task: Task) -> bool:
    """Hand the task out again, as far as judgements are still wanted. False if it was open already."""
    locked = _lock(task)
    changed = Task.objects.filter(pk=locked.pk, state=Task.State.CLOSED).update(state=Task.State.OPEN)
    fit_slots([locked.pk])
    return changed == 1


@transaction.atomic
def set_priority(*, task: Task, priority: int) -> None:
    locked = _lock(task)
    Task.objects.filter(pk=locked.pk).update(priority=priority)
    Slot.objects.filter(task=locked).update(priority=priority)


def fit_slots(task_ids: Iterable[int]) -> None:
    """Make the open slots as many as are still wanted: none of a closed task, none beyond the wanted number, and none
    of a task that is not plain work: its slots are made for one labeler each.

    Open slots that somebody is claiming at this moment are left alone: submitting counts once more.
    """
    tasks = Task.objects.filter(pk__in=list(task_ids)).annotate(
        num_open=Count("slots", filter=Q(slots__state=Slot.State.OPEN)), num_slots=Count("slots")
    )
    for task in tasks:
        num_taken = task.num_slots - task.num_open
        is_for_all = task.state == Task.State.OPEN and task.purpose == Task.Purpose.WORK
        num_open_wanted = max(0, task.num_wanted - num_taken) if is_for_all else 0
        if task.num_open > num_open_wanted:
            _drop_open_slots(task, task.num_open - num_open_wanted)
        elif task.num_open < num_open_wanted:
            _add_open_slots(task, num_open_wanted - task.num_open)


def _drop_open_slots(task: Task, num: int) -> None:
    open_slots = Slot.objects.select_for_update(skip_locked=True).filter(task=task, state=Slot.State.OPEN)
    # Slots of revised or withdrawn rankings are never open, so nothing refers to these.
    Slot.objects.filter(pk__in=[slot.pk for slot in open_slots.order_by("-number")[:num]]).delete()


def _add_open_slots(task: Task, num: int) -> None:
    taken = set(task.slots.values_list("number", flat=True))
    free = islice((number for number in range(1, 10_000) if number not in taken), num)
    Slot.objects.bulk_create([_slot(task, number) for number in free])


def one_at_a_time(project: Project) -> None:
    """Two managers who press the button at once must not make each task twice."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _lock(task: Task) -> Task:
    return Task.objects.select_for_update(no_key=True).get(pk=task.pk)


@dataclass(frozen=True, kw_only=True)
class Template:
    """What all tasks of one call share."""

    project: Project
    kind: Task.Kind
    num_wanted: int
    priority: int
    round: Round | None = None
    num_responses: int = 0
    rate_first: bool = False
    brief: PromptBrief | None = None
    evaluation: Evaluation | None = None
    choices: Mapping[int, Choice] = field(default_factory=dict)

    def task(self, prompt: Prompt | None) -> Task:
        choice = self.choices.get(prompt.pk) if prompt else None
        return Task(
            project=self.project,
            prompt=prompt,
            kind=self.kind,
            num_responses=self.num_responses,
            num_wanted=self.num_wanted,
            priority=self.priority,
            rate_first=self.rate_first,
            round=self.round,
            brief=self.brief,
            evaluation=self.evaluation,
            stream=choice.stream if choice else Task.Stream.ORDER,
            score=choice.score if choice else None,
        )


def _make_batch(prompts: list[Prompt], template: Template, model: Model | None, counts: TaskCounts) -> None:
    found = candidates(prompts, model)
    existing = response_sets(prompts)
    chosen: list[tuple[Prompt, list[int]]] = []
    for prompt in prompts:
        responses = usable_of(found[prompt.pk], counts)[: template.num_responses]
        if prompt.is_retired:
            counts.refused.append((prompt.pk, RETIRED))
        elif len(responses) < template.num_responses:
            counts.refused.append((prompt.pk, TOO_FEW))
        elif frozenset(responses) in existing[prompt.pk]:
            counts.refused.append((prompt.pk, SAME_RESPONSES))
        else:
            chosen.append((prompt, responses))
    tasks = insert([template.task(prompt) for prompt, _ in chosen])
    TaskResponse.objects.bulk_create(
        place for task, (_, responses) in zip(tasks, chosen, strict=True) for place in places(task, responses)
    )
    counts.task_ids += [task.pk for task in tasks]


def candidates(prompts: list[Prompt], model: Model | None) -> dict[int, list[Candidate]]:
    responses = Response.objects.filter(prompt__in=prompts)
    if model is not None:
        responses = responses.filter(model=model)
    found: dict[int, list[Candidate]] = defaultdict(list)
    rows = responses.order_by("prompt_id", F("model__created_at").desc(), "-model_id", "sample_index")
    for prompt_id, pk, text_hash, names_itself in rows.values_list("prompt_id", "pk", MD5("text"), "names_itself"):
        found[prompt_id].append(Candidate(pk, text_hash, names_itself))
    return found


def without_own_names(found: list[Candidate], counts: TaskCounts) -> list[Candidate]:
    """Without those that name their model: they would unblind."""
    usable = [candidate for candidate in found if not candidate.names_itself]
    counts.num_names_itself += len(found) - len(usable)
    return usable


def usable_of(found: list[Candidate], counts: TaskCounts) -> list[int]:
    """Without those that name their model and without copies of the same text."""
    seen: set[str] = set()
    usable = []
    for candidate in without_own_names(found, counts):
        if candidate.text_hash in seen:
            counts.num_same_text += 1
        else:
            seen.add(candidate.text_hash)
            usable.append(candidate.pk)
    return usable


def response_sets(prompts: list[Prompt]) -> dict[int, set[frozenset[int]]]:
    """Which responses of each prompt people are asked about together already. What an evaluation asks trains nothing,
    and stands in nobody's way."""
    found: dict[int, set[frozenset[int]]] = defaultdict(set)
    plain = Task.objects.filter(prompt__in=prompts, purpose=Task.Purpose.WORK, evaluation=None)
    tasks = plain.filter(num_responses__gt=0)
    for prompt_id, responses in tasks.annotate(ids=ArrayAgg("task_responses__response_id")).values_list(
        "prompt_id", "ids"
    ):
        if prompt_id is not None:
            found[prompt_id].add(frozenset(responses))
    return found


def _with_responses(prompt: Prompt, responses: list[int]) -> Task | None:
    """Not one of an evaluation: what people say of that trains nothing."""
    plain = Task.objects.filter(prompt=prompt, purpose=Task.Purpose.WORK, evaluation=None)
    sets = plain.filter(num_responses=len(responses)).annotate(ids=ArrayAgg("task_responses__response_id"))
    return next((task for task in sets.order_by("pk") if set(task.ids) == set(responses)), None)


def places(task: Task, responses: list[int], lot: random.Random | None = None) -> list[TaskResponse]:
    """Positions are drawn by lot: an order by model would let whoever works out their own shuffle see through it."""
    shuffled = (lot or random.Random()).sample(responses, len(responses))  # noqa: S311  # no secret
    return [TaskResponse(task=task, response_id=pk, position=position) for position, pk in enumerate(shuffled)]


def insert(tasks: list[Task]) -> list[Task]:
    made = Task.objects.bulk_create(tasks)
    Slot.objects.bulk_create(_slot(task, number) for task in made for number in range(1, task.num_wanted + 1))
    return made


def _slot(task: Task, number: int) -> Slot:
    return Slot(task=task, number=number, project_id=task.project_id, kind=task.kind, priority=task.priority)


def batches(prompts: QuerySet[Prompt] | Iterable[Prompt]) -> Iterable[list[Prompt]]:
    rows = prompts.defer("text").iterator(BATCH) if isinstance(prompts, QuerySet) else iter(prompts)
    while batch := list(islice(rows, BATCH)):
        yield batch
