"""Keeping prompts in order: those that are near to each other, and use cases and languages that are not said yet."""

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from labeling.forms import prompt_care as forms
from labeling.models import Prompt, Role, UseCase
from labeling.permissions import ProjectRequest, member
from labeling.services import near_duplicates, suggestions
from labeling.services import prompts as service


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def similar(request: ProjectRequest) -> HttpResponseBase:
    """Groups of prompts with a long beginning in common; what is ticked is retired."""
    if request.method == "POST":
        ticked = Prompt.objects.filter(project=request.project, uid__in=forms.uids(request.POST, "prompt"))
        num = service.change(prompts=ticked, changes={"is_retired": True})
        messages.success(
            request, f"{num:,} prompt{'s' if num != 1 else ''} retired: in no new task and no new snapshot."
        )
        return redirect("prompts_similar", request.project.slug)
    groups = near_duplicates.groups(project=request.project)
    context = {"nav": "prompts", "groups": groups, "num": sum(group.num for group in groups)}
    return render(request, "prompts/similar.html", context)


def offer(request: ProjectRequest, chosen: QuerySet[Prompt], back: str) -> HttpResponseBase:
    """The page between choosing prompts and taking what is suggested for them."""
    offered = suggestions.offer(chosen)
    if not offered:
        messages.info(request, "Nothing to suggest: these have a use case and a language, or nothing tells which.")
        return redirect(back)
    is_cut = len(offered) == suggestions.MAX_OFFERED
    context = {"nav": "prompts", "offered": offered, "is_cut": is_cut, "use_cases": UseCase.choices, "back": back}
    return render(request, "prompts/suggest.html", context)


@require_POST
@member(Role.MANAGER)
def take(request: ProjectRequest) -> HttpResponseBase:
    """Set what was ticked, as far as the prompts still lack it."""
    num = suggestions.take(project=request.project, chosen=forms.taken_suggestions(request.POST))
    messages.success(request, f"{num:,} prompt{'s' if num != 1 else ''} changed.")
    return redirect(reverse("prompts", args=[request.project.slug]))
