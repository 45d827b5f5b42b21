"""A labeler's own answers: looking at them again, and changing one of the last."""

import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from labeling.forms import comparing
from labeling.forms import work as forms
from labeling.models import Demonstration, Ranking, Role, Task
from labeling.permissions import ProjectRequest, member
from labeling.services import annotations, demonstrations, rankings, rendering, sheets, writing
from labeling.services.answers import AnswerError
from labeling.services.demonstrations import AlreadyWritten
from labeling.services.rankings import AlreadyRanked
from labeling.views import kinds

PAGE = 25
LOOK = "look"  # the form's harmless first button: shows what was typed, changes nothing
# What `?kind=` says, the tab's name, its rows.
TABS: list[tuple[str, str, Callable[[ProjectRequest], QuerySet[Any]]]] = [
    ("", "Rankings", lambda request: rankings.own(labeler=request.user).filter(task__project=request.project)),
    (
        "written",
        "Written answers",
        lambda request: demonstrations.own(labeler=request.user).filter(prompt__project=request.project),
    ),
    ("prompts", "Prompts", lambda request: writing.own(labeler=request.user).filter(task__project=request.project)),
    (
        "labels",
        "Labels of prompts",
        lambda request: annotations.own(labeler=request.user).filter(task__project=request.project),
    ),
]


@require_GET
@member(Role.LABELER)
def history(request: ProjectRequest) -> HttpResponseBase:
    """Newest first; each kind of answer on a tab of its own."""
    shown = next((tab for tab in TABS if tab[0] == request.GET.get("kind")), TABS[0])
    context = {
        "nav": "history",
        "tab": shown[0],
        "tabs": [(value, label) for value, label, _ in TABS],
        "page_obj": Paginator(shown[2](request), PAGE).get_page(request.GET.get("page")),
        "num_editable": rankings.NUM_EDITABLE,
    }
    return render(request, "work/history.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.LABELER)
def ranking(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """One's own ranking as it was given; one of the last can be changed here."""
    mine = Ranking.objects.filter(task__project=request.project, labeler=request.user)
    found = get_object_or_404(mine.select_related("task", "task__prompt", "task__project", "labeler"), uid=uid)
    if request.method == "POST":
        return _revise(request, found)
    return _show(request, found)


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.LABELER)
def demonstration(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    mine = demonstrations.own(labeler=request.user).filter(prompt__project=request.project)
    found = get_object_or_404(mine, uid=uid)
    if request.method == "POST":
        return _rewrite(request, found)
    return _show_demonstration(request, found, filled={"text": found.text, "note": found.note})


def _revise(request: ProjectRequest, found: Ranking) -> HttpResponseBase:
    payload = kinds.of(found.task).read(request.POST, found.task)
    if request.POST.get("action") == LOOK:
        return _show(request, found, filled=payload)
    answer = forms.to_answer(found.task, payload, forms.read_circumstances(request.POST))
    try:
        if found.task.kind == Task.Kind.COMPARE:
            comparing.check(payload)
        key = request.POST.get("idempotency_key", "")
        rankings.revise(ranking=found, labeler=request.user, idempotency_key=key, answer=answer)
    except AnswerError as error:
        return _show(request, found, filled=payload, errors=error.errors)
    except AlreadyRanked as error:
        messages.warning(request, "This ranking was changed in another window meanwhile; here is how it stands now.")
        return redirect("history_ranking", request.project.slug, error.ranking.uid)
    messages.success(request, "Your change is saved. What you said before is kept beside it.")
    return redirect("history", request.project.slug)


def _show(
    request: ProjectRequest,
    found: Ranking,
    *,
    filled: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
) -> HttpResponseBase:
    sheet = sheets.lay_out_again(ranking=found)
    filled = filled or sheet.draft
    context = {
        "nav": "history",
        "sheet": sheet,
        "ranking": found,
        **kinds.of(found.task).context(sheet, filled, errors or {}),
        "filled": filled,
        "errors": errors or {},
        "idempotency_key": request.POST.get("idempotency_key") or sheet.idempotency_key,
        "can_edit": rankings.can_edit(ranking=found, labeler=request.user),
    }
    is_comparison = found.task.kind == Task.Kind.COMPARE
    template = "work/history_comparison.html" if is_comparison else "work/history_ranking.html"
    return render(request, template, context, status=422 if errors else 200)


def _rewrite(request: ProjectRequest, found: Demonstration) -> HttpResponseBase:
    filled = {name: request.POST.get(name, "") for name in ("text", "note")}
    if request.POST.get("action") in (LOOK, "preview"):
        return _show_demonstration(request, found, filled=filled)
    try:
        key = request.POST.get("idempotency_key", "")
        demonstrations.revise(demonstration=found, labeler=request.user, idempotency_key=key, **filled)
    except AnswerError as error:
        return _show_demonstration(request, found, filled=filled, errors=error.errors)
    except AlreadyWritten as error:
        messages.warning(request, "This answer was changed in another window meanwhile; here is how it stands now.")
        return redirect("history_demonstration", request.project.slug, error.demonstration.uid)
    messages.success(request, "Your change is saved. What you wrote before is kept beside it.")
    return redirect(f"{reverse('history', args=[request.project.slug])}?kind=written")


def _show_demonstration(
    request: ProjectRequest, found: Demonstration, *, filled: dict[str, str], errors: dict[str, str] | None = None
) -> HttpResponseBase:
    context = {
        "nav": "history",
        "found": found,
        "conversation": [sheets.Message(m["role"], rendering.to_html(m["content"])) for m in found.prompt.messages],
        "filled": filled,
        "preview": rendering.to_html(filled["text"]),
        "errors": errors or {},
        "idempotency_key": request.POST.get("idempotency_key") or str(uuid.uuid4()),
        "guideline": request.project.current_guideline(),
        "can_edit": demonstrations.can_edit(demonstration=found, labeler=request.user),
    }
    return render(request, "work/history_demonstration.html", context, status=422 if errors else 200)
