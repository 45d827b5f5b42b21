"""Quality for managers: how labelers did on hidden tasks, known answers, who has read the guidelines."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.forms import work as forms
from labeling.forms.quality import UseForm
from labeling.models import Ranking, Role, Task, User
from labeling.permissions import ProjectRequest, member
from labeling.services import answers, assignments, sheets
from labeling.services.answers import AnswerError
from labeling.services.quality import grades, reports
from labeling.services.quality import guidelines_read as reading
from labeling.services.quality import references as known
from labeling.services.quality.references import QualityError

NUM_WORST = 8


@require_safe
@member(Role.MANAGER)
def overview(request: ProjectRequest) -> HttpResponseBase:
    """Labelers on known answers and against themselves; agreement of each stream; the worst items."""
    graded = grades.graded(request.project)
    context = {
        "nav": "quality",
        "tab": "labelers",
        "lines": grades.by_labeler(graded),
        "worst": sorted(graded, key=lambda item: item.share)[:NUM_WORST],
        "streams": reports.streams(request.project),
    }
    return render(request, "quality/overview.html", context)


@require_safe
@member(Role.MANAGER)
def person(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """One labeler's hidden tasks, the worst first."""
    members = User.objects.filter(memberships__project=request.project)
    labeler = get_object_or_404(members.distinct(), uid=uid)
    graded = grades.graded(request.project, labeler=labeler)
    lines = grades.by_labeler(graded)
    context = {
        "nav": "quality",
        "tab": "labelers",
        "labeler": labeler,
        "line": lines[0] if lines else None,
        "items": sorted(graded, key=lambda item: (item.share, item.ranking.pk)),
    }
    return render(request, "quality/person.html", context)


@require_safe
@member(Role.MANAGER)
def readings(request: ProjectRequest) -> HttpResponseBase:
    readers = list(reading.readers(project=request.project))
    context = {
        "nav": "quality",
        "tab": "guidelines",
        "current": request.project.current_guideline(),
        "readers": readers,
        "num_current": sum(reader.is_current for reader in readers),
    }
    return render(request, "quality/readings.html", context)


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.LABELER)
def guidelines_read(request: ProjectRequest) -> HttpResponseBase:
    """The current guidelines, what changed since one's last reading, and “I have read this”."""
    back = _back(request)
    if request.method == "POST":
        given = request.POST.get("version", "")
        version = int(given) if given.isdecimal() and len(given) < 9 else 0
        if reading.confirm(project=request.project, labeler=request.user, version=version):
            return redirect(back)
        messages.warning(request, "A new version was published meanwhile. Please read this one.")
        return redirect(request.get_full_path())
    current = request.project.current_guideline()
    if current is None:
        return redirect(back)
    before = reading.last_read(project=request.project, labeler=request.user)
    is_new = before is not None and before.version < current.version
    context = {
        "nav": "guidelines",
        "current": current,
        "before": before,
        "changes": reading.changes(old=before.text, new=current.text) if before and is_new else [],
        "is_read": before == current,
        "back": back,
    }
    return render(request, "quality/read.html", context)


def _back(request: ProjectRequest) -> str:
    """Where the reader came from; never another site."""
    asked = request.GET.get("next", "")
    is_here = url_has_allowed_host_and_scheme(asked, {request.get_host()}, require_https=request.is_secure())
    return asked if is_here and asked.startswith("/") else reverse("work", args=[request.project.slug])


# --- known answers ---------------------------------------------------------------------------------------------------


@require_safe
@member(Role.MANAGER)
def known_answers(request: ProjectRequest) -> HttpResponseBase:
    """All that are hidden among work, the one labelers did worst first: it may be wrong itself."""
    tasks = list(known.known_answers(request.project).select_related("prompt", "reference").order_by("-pk"))
    did = grades.of_tasks(tasks)
    rows = [(task, *did.get(task.pk, (None, 0))) for task in tasks]
    context = {
        "nav": "quality",
        "tab": "known",
        "rows": sorted(rows, key=lambda row: (row[1] is None, row[1] or 0)),
        "num_usable": sum(hasattr(task, "reference") and task.state == Task.State.OPEN for task in tasks),
    }
    return render(request, "quality/known.html", context)


@require_POST
@member(Role.MANAGER)
def use_task(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """Make a known answer of a task; a ranking of it, where one is named, is the reference."""
    task = get_object_or_404(Task.objects.select_related("project"), project=request.project, uid=uid)
    form = UseForm(request.POST, project=request.project)
    if not form.is_valid():
        messages.error(request, "Choose where to use it.")
        return redirect("task", request.project.slug, uid)
    try:
        made = known.use_as_known_answer(
            task=task, user=request.user, ranking=_ranking(request, task), qualification_set=form.qualification_set()
        )
    except QualityError as error:
        messages.error(request, str(error))
        return redirect("task", request.project.slug, uid)
    messages.success(request, "Here is the known answer as it stands. Change it if it is not what you would give.")
    return redirect("reference", request.project.slug, made.uid)


def _ranking(request: ProjectRequest, task: Task) -> Ranking | None:
    given = request.POST.get("ranking", "")
    if not given:
        return None
    try:
        wanted = uuid.UUID(given)
    except ValueError:
        return None
    return get_object_or_404(Ranking.objects.select_related("task"), task=task, uid=wanted)


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def reference(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """The reference ranking of a known answer, given on the board that labelers have."""
    tasks = Task.objects.select_related("prompt", "project", "qualification_set").filter(project=request.project)
    found = get_object_or_404(tasks, uid=uid, purpose__in=["gold", "qualification"], num_responses__gte=2)
    found.rate_first = False  # a reference has no ratings
    if request.method == "POST":
        return _give(request, found)
    return _show_reference(request, found)


def _give(request: ProjectRequest, task: Task) -> HttpResponseBase:
    payload = forms.read_ranking(request.POST, task.num_responses)
    shown = assignments.shown_order(task=task, labeler=request.user)
    try:
        columns = answers.to_columns(task=task, displayed=shown, answer=forms.to_answer(task, payload, {}))
    except AnswerError as error:
        return _show_reference(request, task, filled=payload, errors=error.errors)
    if not columns["ranks"]:
        errors = {"ranks": "Give each response a rank: labelers are graded by the order."}
        return _show_reference(request, task, filled=payload, errors=errors)
    known.give(task=task, ranks=columns["ranks"], flags=columns["flags"], note=columns["note"], user=request.user)
    messages.success(request, "The known answer is saved.")
    return _after(request, task)


def _after(request: ProjectRequest, task: Task) -> HttpResponseBase:
    if task.qualification_set:
        return redirect("qualification_set", request.project.slug, task.qualification_set.uid)
    return redirect("known_answers", request.project.slug)


def _show_reference(
    request: ProjectRequest,
    task: Task,
    *,
    filled: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
) -> HttpResponseBase:
    sheet = sheets.lay_out(task=task, labeler=request.user)
    given = getattr(task, "reference", None)
    if filled is None and given:
        shown = assignments.shown_order(task=task, labeler=request.user)
        as_ranking = Ranking(displayed=shown, ranks=given.ranks, flags=given.flags, note=given.note)
        filled = sheets.to_draft(answers.from_ranking(as_ranking))
    filled = filled or {}
    context = {
        "nav": "quality",
        "task": task,
        "sheet": sheet,
        "cards": forms.fill_cards(sheet, filled, errors or {}),
        "filled": filled,
        "errors": errors or {},
        "given": given,
        "num_graded": task.rankings.count(),
    }
    return render(request, "quality/reference.html", context, status=422 if errors else 200)
