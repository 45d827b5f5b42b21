"""Asking labelers for other things than rankings: prompts to write, labels of prompts, comparisons of two models."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from django.db import transaction
from django.db.models import Count, QuerySet

from labeling.models import Model, Project, Prompt, PromptBrief, Slot, Task, TaskResponse, User
from labeling.services import tasks
from labeling.services.tasks import RETIRED, SAME_RESPONSES, TOO_FEW, TaskCounts, TaskError, Template

log = logging.getLogger(__name__)
MAX_PROMPTS_ASKED: Final = 2_000  # of one brief at a time
HAS_ANNOTATION_TASK: Final = "already a task for an annotation"
ONE_SIDE_MISSING: Final = "one of the two models has no response"


@transaction.atomic
def ask_for_prompts(
    *, brief: PromptBrief, user: User, num_tasks: int, num_wanted: int = 1, priority: int = 0
) -> list[Task]:
    """`num_tasks` tasks of one brief, each for `num_wanted` different people."""
    if not 1 <= num_tasks <= MAX_PROMPTS_ASKED:
        raise TaskError(f"Ask for 1 to {MAX_PROMPTS_ASKED:,} prompts at a time, not {num_tasks:,}.")
    brief.created_by = user
    brief.full_clean()
    brief.save(force_insert=True)
    template = Template(
        project=brief.project, kind=Task.Kind.WRITE_PROMPT, num_wanted=num_wanted, priority=priority, brief=brief
    )
    made = tasks.insert([template.task(None) for _ in range(num_tasks)])
    log.info("%s prompts asked for in %s by person %s", num_tasks, brief.project.slug, user.pk)
    return made


@transaction.atomic
def ask_for_annotations(
    *,
    project: Project,
    prompts: QuerySet[Prompt] | Iterable[Prompt],
    user: User,
    num_wanted: int = 1,
    priority: int = 0,
) -> TaskCounts:
    """Ask what holds of each prompt that nobody is asked about yet."""
    if not project.prompt_labels:
        raise TaskError("This project has no labels of prompts. Write some under Settings first.")
    template = Template(project=project, kind=Task.Kind.ANNOTATE, num_wanted=num_wanted, priority=priority)
    tasks.one_at_a_time(project)
    counts = TaskCounts()
    for batch in tasks.batches(prompts):
        asked = set(Task.objects.filter(prompt__in=batch, kind=Task.Kind.ANNOTATE).values_list("prompt_id", flat=True))
        usable = []
        for prompt in batch:
            if prompt.is_retired:
                counts.refused.append((prompt.pk, RETIRED))
            elif prompt.pk in asked:
                counts.refused.append((prompt.pk, HAS_ANNOTATION_TASK))
            else:
                usable.append(prompt)
        counts.task_ids += [task.pk for task in tasks.insert([template.task(prompt) for prompt in usable])]
    log.info("%s annotation tasks made in %s by person %s", counts.num_made, project.slug, user.pk)
    return counts


@transaction.atomic
def ask_for_comparisons(
    *,
    project: Project,
    prompts: QuerySet[Prompt] | Iterable[Prompt],
    user: User,
    model: Model | None = None,
    other: Model | None = None,
    num_wanted: int = 1,
    priority: int = 0,
) -> TaskCounts:
    """One comparison per prompt: a response of `model` against one of `other`; without either, any two."""
    if model is None or other is None or model == other:
        return tasks.make_ranking_tasks(
            project=project,
            prompts=prompts,
            num_responses=2,
            num_wanted=num_wanted,
            user=user,
            rate_first=False,
            priority=priority,
            model=model or other,
            kind=Task.Kind.COMPARE,
        )
    template = Template(
        project=project, kind=Task.Kind.COMPARE, num_wanted=num_wanted, priority=priority, num_responses=2
    )
    tasks.one_at_a_time(project)
    counts = TaskCounts()
    for batch in tasks.batches(prompts):
        _compare_batch(batch, template, (model, other), counts)
    log.info("%s comparisons made in %s by person %s", counts.num_made, project.slug, user.pk)
    return counts


def _compare_batch(prompts: list[Prompt], template: Template, models: tuple[Model, Model], counts: TaskCounts) -> None:
    sides = [tasks.candidates(prompts, model) for model in models]
    existing = tasks.response_sets(prompts)
    chosen: list[tuple[Prompt, list[int]]] = []
    for prompt in prompts:
        named = [tasks.without_own_names(side[prompt.pk], counts) for side in sides]
        pair = _first_that_differ(*named)
        if prompt.is_retired:
            counts.refused.append((prompt.pk, RETIRED))
        elif not all(named):
            counts.refused.append((prompt.pk, ONE_SIDE_MISSING))
        elif pair is None:
            counts.refused.append((prompt.pk, TOO_FEW))
        elif frozenset(pair) in existing[prompt.pk]:
            counts.refused.append((prompt.pk, SAME_RESPONSES))
        else:
            chosen.append((prompt, pair))
    made = tasks.insert([template.task(prompt) for prompt, _ in chosen])
    TaskResponse.objects.bulk_create(
        place for task, (_, pair) in zip(made, chosen, strict=True) for place in tasks.places(task, pair)
    )
    counts.task_ids += [task.pk for task in made]


def _first_that_differ(one: list[tasks.Candidate], other: list[tasks.Candidate]) -> list[int] | None:
    """The first response of each, as long as they do not say the same."""
    for left in one:
        for right in other:
            if left.text_hash != right.text_hash:
                return [left.pk, right.pk]
    return None


def num_by_brief(briefs: Iterable[PromptBrief]) -> dict[int, dict[str, int]]:
    """How many slots of each brief are open, held and done."""
    found: dict[int, dict[str, int]] = defaultdict(lambda: {"open": 0, "held": 0, "done": 0})
    slots = Slot.objects.filter(task__brief__in=list(briefs)).order_by()
    for brief, state, num in slots.values_list("task__brief", "state").annotate(num=Count("pk")):
        if brief is not None:
            found[brief][state] = num
    return dict(found)
