"""Rankings as they were given: who, when, in which order shown, and taking one out of the count."""

import uuid

from django.contrib import messages
from django.core.cache import cache
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from labeling.forms.quality import UseForm
from labeling.forms.tasks import RankingFilterForm, VoidForm
from labeling.models import Project, Ranking, Role, Task
from labeling.permissions import ProjectRequest, member
from labeling.services import agreement, lineage, voids
from labeling.services.quality import grades
from labeling.views import keyset

AGREEMENT_SECONDS = 60


@require_safe
@member(Role.MANAGER)
def show_all(request: ProjectRequest) -> HttpResponseBase:
    form = RankingFilterForm(request.GET, project=request.project)
    found = form.apply()
    rows = found.select_related("labeler", "task__prompt", "task__review", "void", "replaced_by", "adjudicates").defer(
        "task__prompt__messages"
    )
    page = keyset.page_of(rows, request)
    context = {
        "nav": "rankings",
        "form": form,
        "page": page,
        "num_found_words": keyset.count_words(keyset.count(found)),
        "agreement": _agreement(request.project),
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "has_any": bool(page.rows) or Ranking.objects.filter(task__project=request.project).exists(),
    }
    return render(request, "rankings/list.html", context)


def _agreement(project: Project) -> agreement.Agreement:
    """Kept for a minute: it reads every ranking that shares its task with another."""
    key = f"agreement:{project.pk}"
    found: agreement.Agreement | None = cache.get(key)
    if found is None:
        found = agreement.of_project(project)
        cache.set(key, found, AGREEMENT_SECONDS)
    return found


@require_safe
@member(Role.MANAGER)
def show(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    ranking = _ranking(request, uid)
    places = list(ranking.task.task_responses.select_related("response__model").order_by("position"))
    shown = [
        {
            "place": place,
            "number": position + 1,
            "response": places[position].response,
            "rank": ranking.ranks[position] if ranking.ranks else None,
            "rating": ranking.ratings[position] if ranking.ratings else None,
            "flags": ranking.flags.get(str(position), []),
            "note": ranking.notes.get(str(position), ""),
        }
        for place, position in enumerate(ranking.displayed, start=1)
    ]
    context = {
        "nav": "rankings",
        "ranking": ranking,
        "shown": shown,
        "given": sorted(shown, key=lambda item: (item["rank"] or 0, item["place"])),
        "others": Ranking.objects.current().filter(task=ranking.task).exclude(pk=ranking.pk).select_related("labeler"),
        "made": lineage.from_ranking(ranking),
        "form": VoidForm(),
        "graded": grades.of_ranking(ranking),
        "use_form": UseForm(project=request.project),
        "can_be_known": ranking.task.purpose == Task.Purpose.WORK and 2 <= len(ranking.ranks) <= 9,
        "review": getattr(ranking.task, "review", None),
    }
    return render(request, "rankings/show.html", context)


@require_POST
@member(Role.MANAGER)
def void(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    ranking = _ranking(request, uid)
    form = VoidForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say why: the reason is kept with the ranking.")
    elif voids.void(ranking=ranking, reason=form.cleaned_data["reason"], user=request.user):
        messages.success(request, "The ranking stays, and is no longer counted.")
    else:
        messages.warning(request, "It was void already.")
    return redirect("ranking", request.project.slug, uid)


def _ranking(request: ProjectRequest, uid: uuid.UUID) -> Ranking:
    rankings = Ranking.objects.select_related(
        "labeler",
        "task__prompt",
        "task__review",
        "adjudicates",
        "slot",
        "guideline",
        "void__voided_by",
        "replaces",
        "replaced_by",
        "batch",
    )
    return get_object_or_404(rankings, task__project=request.project, uid=uid)
