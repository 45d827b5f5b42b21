"""Prompts that labelers write, and what they say of prompts: asking for them, and changing one's own last ones."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.forms import work as work_forms
from labeling.forms import writing as forms
from labeling.models import PromptAnnotation, PromptBrief, Role, UseCase, WrittenPrompt
from labeling.permissions import ProjectRequest, member
from labeling.services import annotations, asking, rendering, sheets, writing
from labeling.services.answers import AnswerError
from labeling.services.submissions import NUM_EDITABLE, AlreadySubmitted
from labeling.views.history import LOOK

SHOWN_BRIEFS = 30


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def ask(request: ProjectRequest) -> HttpResponseBase:
    """Ask for prompts, and see what became of what was asked before."""
    form = forms.AskForPromptsForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        brief = PromptBrief(
            project=request.project, **{name: asked[name] for name in ("style", "text", "use_case", "language")}
        )
        numbers = {name: asked[name] for name in ("num_tasks", "num_wanted", "priority")}
        made = asking.ask_for_prompts(brief=brief, user=request.user, **numbers)
        num = len(made) * asked["num_wanted"]
        messages.success(request, f"{num:,} prompt{'s' if num != 1 else ''} asked for. Labelers find them under Work.")
        return redirect("prompts_ask", request.project.slug)
    briefs = list(request.project.prompt_briefs.all()[:SHOWN_BRIEFS])
    counts = asking.num_by_brief(briefs)
    context = {"nav": "prompts", "form": form, "briefs": [(brief, counts.get(brief.pk)) for brief in briefs]}
    return render(request, "prompts/ask.html", context, status=422 if form.errors else 200)


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.LABELER)
def prompt(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """One's own prompt as it was written; one of the last can be changed here."""
    mine = WrittenPrompt.objects.filter(task__project=request.project, labeler=request.user)
    found = get_object_or_404(mine.select_related("task__brief", "task__project", "prompt"), uid=uid)
    if request.method == "POST":
        return _rewrite(request, found)
    return _show_prompt(request, found, filled=writing.to_draft(found))


def _rewrite(request: ProjectRequest, found: WrittenPrompt) -> HttpResponseBase:
    payload = forms.read_writing(request.POST)
    action = request.POST.get("action", "")
    if action == LOOK or "_pair" in action:
        return _show_prompt(request, found, filled=payload)
    given = forms.to_writing(payload, work_forms.read_circumstances(request.POST))
    try:
        key = request.POST.get("idempotency_key", "")
        revised = writing.revise(written=found, labeler=request.user, idempotency_key=key, writing=given)
    except AnswerError as error:
        return _show_prompt(request, found, filled=payload, errors=error.errors)
    except AlreadySubmitted as error:
        messages.warning(request, "This prompt was changed in another window meanwhile; here is how it stands now.")
        return redirect("history_prompt", request.project.slug, error.judgement.uid)
    messages.success(request, "Your change is saved. What you wrote before is kept beside it.")
    if revised.earlier_stays:
        messages.info(request, "Others have built on the prompt as it was, so it stays in use beside the new one.")
    return redirect(f"{reverse('history', args=[request.project.slug])}?kind=prompts")


def _show_prompt(
    request: ProjectRequest, found: WrittenPrompt, *, filled: dict[str, Any], errors: dict[str, str] | None = None
) -> HttpResponseBase:
    errors = errors or {}
    context = {
        "nav": "history",
        "found": found,
        "brief": found.task.brief,
        "written": forms.fill_writing(filled),
        "pair_errors": {int(place[5:]) for place in errors if place.startswith("pair_")},
        "use_cases": UseCase.choices,
        "max_pairs": writing.MAX_PAIRS,
        "errors": errors,
        "html": rendering.to_html(found.prompt.text),
        "num_editable": NUM_EDITABLE,
        "idempotency_key": request.POST.get("idempotency_key") or str(uuid.uuid4()),
        "guideline": request.project.current_guideline(),
        "can_edit": writing.can_edit(written=found, labeler=request.user),
    }
    return render(request, "work/history_prompt.html", context, status=422 if errors else 200)


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.LABELER)
def annotation(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    mine = PromptAnnotation.objects.filter(task__project=request.project, labeler=request.user)
    found = get_object_or_404(mine.select_related("task__project", "prompt"), uid=uid)
    if request.method == "POST":
        return _relabel(request, found)
    return _show_annotation(request, found, filled=annotations.to_draft(found))


def _relabel(request: ProjectRequest, found: PromptAnnotation) -> HttpResponseBase:
    payload = forms.read_annotation(request.POST)
    if request.POST.get("action") == LOOK:
        return _show_annotation(request, found, filled=payload)
    given = forms.to_annotation(payload, work_forms.read_circumstances(request.POST))
    try:
        key = request.POST.get("idempotency_key", "")
        annotations.revise(annotated=found, labeler=request.user, idempotency_key=key, annotation=given)
    except AnswerError as error:
        return _show_annotation(request, found, filled=payload, errors=error.errors)
    except AlreadySubmitted as error:
        messages.warning(request, "These labels were changed in another window meanwhile; here is how they stand now.")
        return redirect("history_annotation", request.project.slug, error.judgement.uid)
    messages.success(request, "Your change is saved. What you said before is kept beside it.")
    return redirect(f"{reverse('history', args=[request.project.slug])}?kind=labels")


def _show_annotation(
    request: ProjectRequest, found: PromptAnnotation, *, filled: dict[str, Any], errors: dict[str, str] | None = None
) -> HttpResponseBase:
    context = {
        "nav": "history",
        "found": found,
        "conversation": [sheets.Message(m["role"], rendering.to_html(m["content"])) for m in found.prompt.messages],
        "annotated": forms.fill_annotation(found.asked, filled),
        "errors": errors or {},
        "idempotency_key": request.POST.get("idempotency_key") or str(uuid.uuid4()),
        "guideline": request.project.current_guideline(),
        "can_edit": annotations.can_edit(annotated=found, labeler=request.user),
    }
    return render(request, "work/history_annotation.html", context, status=422 if errors else 200)
