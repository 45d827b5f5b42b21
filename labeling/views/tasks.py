"""Tasks: how far each is, who judged it how, and changing what is still wanted."""

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.forms.quality import UseForm
from labeling.forms.tasks import TaskChangeForm, TaskFilterForm
from labeling.models import MAX_RESPONSES_FOR_PEOPLE, Demonstration, Ranking, Response, Role, Slot, Task
from labeling.permissions import ProjectRequest, member
from labeling.services import tasks as service
from labeling.views import keyset


@require_safe
@member(Role.MANAGER)
def show_all(request: ProjectRequest) -> HttpResponseBase:
    form = TaskFilterForm(request.GET)
    found = form.apply(request.project)
    page = keyset.page_of(found.select_related("prompt").defer("prompt__messages"), request)
    context = {
        "nav": "tasks",
        "form": form,
        "page": page,
        "num_found_words": keyset.count_words(keyset.count(found)),
        "slots": _slots_by_task(page.rows),
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "has_any": bool(page.rows) or Task.objects.filter(project=request.project).exists(),
    }
    return render(request, "tasks/list.html", context)


def _slots_by_task(tasks: Iterable[Task]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = defaultdict(lambda: {"open": 0, "held": 0, "done": 0})
    counts = Slot.objects.filter(task__in=list(tasks)).values_list("task", "state").annotate(num=Count("pk"))
    for task, state, num in counts:
        found[task][state] = num
    return dict(found)


@dataclass
class MatrixRow:
    """One response, and the rank that each labeler gave it."""

    position: int
    response: Response
    ranks: list[int | None]

    @property
    def mean(self) -> float | None:
        given = [rank for rank in self.ranks if rank is not None]
        return sum(given) / len(given) if given else None


@require_safe
@member(Role.MANAGER)
def show(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    task = _task(request, uid)
    rankings = list(
        Ranking.objects.current().filter(task=task).select_related("labeler", "void", "adjudicates").order_by("pk")
    )
    context = {
        "nav": "tasks",
        "task": task,
        "rankings": rankings,
        "matrix": _matrix(task, rankings),
        "demonstrations": _demonstrations(task),
        "written": task.written_prompts.filter(replaced_by__isnull=True).select_related("labeler", "prompt"),
        "annotated": task.annotations.filter(replaced_by__isnull=True).select_related("labeler").order_by("pk"),
        "slots": task.slots.select_related("holder").order_by("number"),
        "skips": task.skips.select_related("labeler"),
        "form": TaskChangeForm(initial={"num_wanted": task.num_wanted, "priority": task.priority}),
        "use_form": UseForm(project=request.project),
        "can_be_known": task.purpose == Task.Purpose.WORK and 2 <= task.num_responses <= MAX_RESPONSES_FOR_PEOPLE,
        "review": getattr(task, "review", None),
    }
    return render(request, "tasks/show.html", context)


def _matrix(task: Task, rankings: list[Ranking]) -> list[MatrixRow]:
    places = task.task_responses.select_related("response__model").order_by("position")
    return [
        MatrixRow(
            place.position,
            place.response,
            [ranking.ranks[place.position] if ranking.ranks else None for ranking in rankings],
        )
        for place in places
    ]


def _demonstrations(task: Task) -> Any:
    current = Demonstration.objects.current().filter(task=task)
    return current.select_related("labeler").order_by("-pk") if task.kind == Task.Kind.DEMONSTRATE else []


@require_POST
@member(Role.MANAGER)
def change(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    task = _task(request, uid)
    form = TaskChangeForm(request.POST)
    if task.purpose != Task.Purpose.WORK:
        messages.error(request, "This task tests labelers: it is handed to one at a time, however many there are.")
        return redirect("task", request.project.slug, uid)
    if not form.is_valid():
        messages.error(request, "Judgements go from 1 to 50, priority from -100 to 100.")
        return redirect("task", request.project.slug, uid)
    try:
        service.set_num_wanted(task=task, num_wanted=form.cleaned_data["num_wanted"])
        service.set_priority(task=task, priority=form.cleaned_data["priority"])
    except service.TaskError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "Saved.")
    return redirect("task", request.project.slug, uid)


@require_http_methods(["POST"])
@member(Role.MANAGER)
def set_state(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """Close, or hand out again. Imported tasks stay closed: nobody here saw them."""
    task = _task(request, uid)
    if task.is_imported:
        messages.error(request, "An imported task stays closed: it was judged before it came here.")
    elif request.POST.get("state") == Task.State.CLOSED:
        service.close(task=task)
        messages.success(request, "The task is closed. Who holds it may still finish.")
    elif request.POST.get("state") == Task.State.OPEN:
        service.reopen(task=task)
        messages.success(request, "The task is open again.")
    return redirect("task", request.project.slug, uid)


def _task(request: ProjectRequest, uid: uuid.UUID) -> Task:
    of = ("prompt", "round", "evaluation", "repeats", "qualification_set", "review__reviewer")
    return get_object_or_404(Task.objects.select_related(*of), project=request.project, uid=uid)
