"""Keeping prompts in order: those that are near to each other, and use cases and languages that are not said yet."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from labeling.forms import prompt_care as forms
from labeling.models import Prompt, PromptLook, Role, UseCase
from labeling.permissions import ProjectRequest, member
from labeling.services import looks, near_duplicates, suggestions
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


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def look(request: ProjectRequest) -> HttpResponseBase:
    """Have prompts from before looked through, and see how far that is."""
    parts = [part for part in looks.PARTS if part in request.POST.getlist("part")]
    if request.method == "POST" and parts:
        if looks.start(project=request.project, parts=parts, by=request.user) is None:
            messages.warning(request, "They are being looked through already.")
        return redirect("prompts_look", request.project.slug)
    newest = PromptLook.objects.filter(project=request.project).select_related("asked_by").first()
    if "HX-Request" in request.headers:
        return _look_state(request, newest)
    lacking = [(part, label, _num_lacking(request, part)) for part, label in looks.PARTS.items()]
    is_refused = request.method == "POST"
    context = {"nav": "prompts", "parts": lacking, "errors": "Say what to look for." if is_refused else ""}
    return render(request, "prompts/look.html", context | _found(request, newest), status=422 if is_refused else 200)


def _look_state(request: ProjectRequest, newest: PromptLook | None) -> HttpResponseBase:
    """The part that htmx asks for again; a finished look reloads the page instead."""
    response = render(request, "prompts/parts/look.html", _found(request, newest))
    if newest is None or newest.state == PromptLook.State.DONE:
        response["HX-Refresh"] = "true"
    return response


def _num_lacking(request: ProjectRequest, part: str) -> int:
    return looks.lacking(project=request.project, parts=[part]).count()


def _found(request: ProjectRequest, newest: PromptLook | None) -> dict[str, Any]:
    if newest is None:
        return {"look": None}
    counts = [
        (looks.PARTS[part], UseCase(kind).label if part == "use_case" else kind, num)
        for part in looks.PARTS
        for kind, num in sorted(newest.counts.get(part, {}).items(), key=lambda item: (-item[1], item[0]))
    ]
    is_running = newest.state == PromptLook.State.RUNNING
    left = looks.lacking(project=request.project, parts=newest.parts).count() if is_running else 0
    return {"look": newest, "found": counts, "num_all": newest.num_looked + left}
