"""Where people and a reward model differ most, one task of it with both orders, and what reviewers made of it."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from labeling.forms.scores import DifferencesForm
from labeling.models import Model, Ranking, Response, Role, Task
from labeling.permissions import ProjectRequest, member
from labeling.services import rendering, sheets
from labeling.services.answers import LETTERS
from labeling.services.scores import differences, upheld
from labeling.views.runs import as_uid
from training.contract import uncertainty

PER_PAGE = 50


@require_safe
@member(Role.MANAGER)
def show_all(request: ProjectRequest) -> HttpResponseBase:
    form = DifferencesForm(request.GET, project=request.project)
    judge = form.chosen_judge()
    found = differences.worst_first(request.project, judge, form.asked()) if judge else []
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    tasks = Task.objects.select_related("prompt", "review").in_bulk([item.task_id for item in page])
    context = {
        "nav": "quality",
        "tab": "differences",
        "form": form,
        "judge": judge,
        "page_obj": page,
        "rows": [(item, tasks[item.task_id]) for item in page if item.task_id in tasks],
        "upheld": upheld.upheld(request.project, judge) if judge else None,
        "sent": upheld.upheld(request.project, judge, only_sent=True) if judge else None,
        "most": differences.MOST_RANKINGS,
    }
    return render(request, "quality/differences.html", context)


@require_POST
@member(Role.MANAGER)
def send(request: ProjectRequest) -> HttpResponseBase:
    """The ticked tasks go to reviewers."""
    judge = DifferencesForm(request.POST, project=request.project).chosen_judge()
    uids = [uid for given in request.POST.getlist("task")[:PER_PAGE] if (uid := as_uid(given))]
    if judge is None or not uids:
        messages.warning(request, "Tick the tasks that a reviewer should decide.")
        return redirect("differences", request.project.slug)
    num = differences.send_to_review(project=request.project, judge=judge, tasks=uids, by=request.user)
    if num:
        messages.success(request, f"{num} task{'s go' if num != 1 else ' goes'} to review.")
    else:
        messages.warning(request, "Nothing was sent: they are in review, or decided, already.")
    return redirect(reverse("differences", args=[request.project.slug]) + f"?judge={judge.uid}")


@dataclass(frozen=True)
class Line:
    """One response, as people and the model have it."""

    letter: str
    response: Response
    ranks: list[int]  # by labeler
    mean_rank: float
    score: float
    model_rank: int


@require_safe
@member(Role.MANAGER)
def show(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """Both orders side by side, and every response."""
    tasks = Task.objects.select_related("prompt", "review")
    task = get_object_or_404(tasks, project=request.project, uid=uid, num_responses__gte=2)
    form = DifferencesForm(request.GET, project=request.project)
    judge = form.chosen_judge()
    rankings = list(Ranking.objects.counted().filter(task=task, ranks__len__gte=2).select_related("labeler"))
    scores = differences.scores_of_tasks([task.pk], judge).get(task.pk) if judge else None
    context: dict[str, Any] = {
        "nav": "quality",
        "tab": "differences",
        "task": task,
        "conversation": [sheets.Message(m["role"], rendering.to_html(m["content"])) for m in _messages(task)],
        "judge": judge,
        "rankings": rankings,
        "review": getattr(task, "review", None),
    }
    if judge and scores and rankings:
        context |= _both_orders(task, judge, rankings, scores)
    return render(request, "quality/difference.html", context)


def _messages(task: Task) -> list[dict[str, str]]:
    return task.prompt.messages if task.prompt else []


def _both_orders(task: Task, judge: Model, rankings: list[Ranking], scores: list[float]) -> dict[str, Any]:
    lines = _lines(task, rankings, scores)
    whole = uncertainty.NO_SURPRISE
    for ranking in rankings:
        whole += uncertainty.surprise(scores, ranking.ranks)
    return {
        "by_people": sorted(lines, key=lambda line: (line.mean_rank, line.letter)),
        "by_model": sorted(lines, key=lambda line: (line.model_rank, line.letter)),
        "bits": whole.bits_per_pair,
        "against": whole.num_against / whole.num_pairs if whole.num_pairs else None,
        "num_pairs": whole.num_pairs,
        "has_trained": task.pk in differences.trained_tasks(judge),
    }


def _lines(task: Task, rankings: list[Ranking], scores: list[float]) -> list[Line]:
    places = task.task_responses.select_related("response__model").order_by("position")
    order = sorted(set(scores), reverse=True)
    found = []
    for letter, place in zip(LETTERS, places, strict=False):
        ranks = [ranking.ranks[place.position] for ranking in rankings]
        score = scores[place.position]
        found.append(Line(letter, place.response, ranks, sum(ranks) / len(ranks), score, order.index(score) + 1))
    return found
