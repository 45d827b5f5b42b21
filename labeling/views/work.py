"""The labeler's pages: what is open, and the task in hand. Each works as a plain form; scripts only make it better."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.forms import work as forms
from labeling.models import Draft, Role, Skip, Slot, Task
from labeling.permissions import ProjectRequest, member
from labeling.services import assignments, drafts, rankings, rendering, sheets
from labeling.services.answers import AnswerError
from labeling.services.assignments import AssignmentError, Nothing
from labeling.services.demonstrations import AlreadyWritten
from labeling.services.quality import guidelines_read, qualification
from labeling.services.quality.standing import MUST_READ, NOT_QUALIFIED
from labeling.services.rankings import AlreadyRanked
from labeling.services.submissions import AlreadySubmitted
from labeling.views import kinds

ALWAYS_SHOWN = ("rank", "write")  # of the families on the start page; the others when there is something to do


@never_cache
@require_GET
@member(Role.LABELER)
def start(request: ProjectRequest) -> HttpResponseBase:
    """What is open for this person, by kind, and what they hold or have begun."""
    num_open = assignments.open_by_kind(project=request.project, labeler=request.user)
    context = {
        "nav": "work",
        "kinds": [
            (kind, num_open[kind.kind]) for kind in kinds.KINDS if num_open[kind.kind] or kind.family in ALWAYS_SHOWN
        ],
        **_in_hand(request),
        "num_today": sheets.count_today(project=request.project, labeler=request.user),
        "num_all": rankings.own(labeler=request.user).filter(task__project=request.project).count(),
        "guideline": request.project.current_guideline(),
        "must_read": guidelines_read.is_due(project=request.project, labeler=request.user),
        "qualifications": _qualifications(request),
    }
    return render(request, "work/start.html", context)


def _in_hand(request: ProjectRequest) -> dict[str, Any]:
    """What one left off at (the first held of a kind, and all that was begun), and how many were only fetched ahead."""
    slots = assignments.held_slots(project=request.project, labeler=request.user).order_by("claimed_at", "pk")
    begun = set(
        Draft.objects.filter(labeler=request.user, task__in=slots.values("task")).values_list("task", flat=True)
    )
    held, families = [], set()
    for slot in slots:
        kind = kinds.of(slot.task)
        if slot.task_id in begun or kind.family not in families:
            held.append((slot, kind))
        families.add(kind.family)
    return {"held": held, "num_ahead": len(slots) - len(held)}


def _qualifications(request: ProjectRequest) -> list[qualification.Progress]:
    """What this person must pass before they work, and what became of it. Reviewers and managers need not."""
    if request.role != Role.LABELER:
        return []
    return qualification.progress(project=request.project, labeler=request.user)


@require_POST
@member(Role.LABELER)
def begin(request: ProjectRequest) -> HttpResponseBase:
    """The next task of the kind asked for."""
    return _go_on(request, request.POST.get("kind", "rank"))


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.LABELER)
def task(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    tasks = Task.objects.filter(project=request.project, is_imported=False)
    tasks = tasks.select_related("prompt", "project", "brief")
    found = get_object_or_404(tasks, uid=uid)
    if found.kind not in assignments.SERVED_KINDS:
        return _unavailable(request, found)
    if request.method == "POST":
        return _act(request, found)
    if guidelines_read.is_due(project=request.project, labeler=request.user):
        return _to_guidelines(request, back=request.path)
    slot = assignments.claim_task(task=found, labeler=request.user)
    if slot is None and not _has_unsent_work(request, found):
        return _unavailable(request, found)
    return _show(request, found, slot=slot)


def _has_unsent_work(request: ProjectRequest, found: Task) -> bool:
    """Who lost the hold may still send what they have begun."""
    if assignments.has_judged(task=found, labeler=request.user):
        return False
    return Draft.objects.filter(task=found, labeler=request.user).exists()


def _act(request: ProjectRequest, found: Task) -> HttpResponseBase:
    actions: dict[str, Callable[[ProjectRequest, Task], HttpResponseBase]] = {
        "submit": _submit,
        "draft": _keep,
        "preview": _preview,
        "skip": _skip,
        "release": _release,
    }
    asked = request.POST.get("action", "submit")
    if "_pair" in asked:  # the buttons of a few-shot prompt: reading the form does what they say
        return _show(request, found)
    return actions.get(asked, _submit)(request, found)


def _submit(request: ProjectRequest, found: Task) -> HttpResponseBase:
    try:
        judgement = kinds.of(found).take_in(request, found, _payload(request, found))
    except AnswerError as error:
        return _show(request, found, errors=error.errors)
    except kinds.LookAgain as hint:
        return _show(request, found, hints=hint.texts)
    except (AlreadyRanked, AlreadyWritten, AlreadySubmitted) as error:
        messages.warning(request, str(error))
        return redirect("history", request.project.slug)
    if judgement.slot_id is None:
        messages.info(request, "Thank you. Enough others had answered already, so yours is kept as an extra.")
    return _go_on(request, kinds.of(found).family)


def _keep(request: ProjectRequest, found: Task) -> HttpResponseBase:
    """Save the draft and stay."""
    payload = _payload(request, found)
    is_saved = drafts.save(task=found, labeler=request.user, payload=payload, version=forms.read_version(request.POST))
    if is_saved:
        messages.success(request, "Your draft is saved.")
        return redirect("work_task", request.project.slug, found.uid)
    messages.warning(request, "A newer draft was saved from another window. It is kept; this is what you have here.")
    return _show(request, found)


def _preview(request: ProjectRequest, found: Task) -> HttpResponseBase:
    return _show(request, found, preview=rendering.to_html(request.POST.get("text", "")))


def _skip(request: ProjectRequest, found: Task) -> HttpResponseBase:
    try:
        note = request.POST.get("skip_note", "")
        assignments.skip(task=found, labeler=request.user, reason=request.POST.get("skip_reason", ""), note=note)
    except AssignmentError as error:
        return _show(request, found, errors={"skip": str(error)})
    return _go_on(request, kinds.of(found).family)


def _release(request: ProjectRequest, found: Task) -> HttpResponseBase:
    """Stop here: the task and those fetched ahead go back, drafts stay."""
    assignments.release_all(task=found, labeler=request.user)
    return redirect("work", request.project.slug)


def _go_on(request: ProjectRequest, family: str) -> HttpResponseBase:
    found = assignments.claim(project=request.project, labeler=request.user, kinds=kinds.kinds_of(family))
    if isinstance(found, Nothing) and found.why == MUST_READ:
        return _to_guidelines(request)
    if isinstance(found, Nothing):
        context: dict[str, Any] = {"nothing": found, "family": family, "nav": "work"}
        context["num_today"] = sheets.count_today(project=request.project, labeler=request.user)
        if found.why == NOT_QUALIFIED:
            context["qualifications"] = _qualifications(request)
        return render(request, "work/nothing.html", context)
    return redirect("work_task", request.project.slug, found.task.uid)


def _to_guidelines(request: ProjectRequest, *, back: str = "") -> HttpResponseBase:
    """Nobody gets work before they have read what holds; then they go where they wanted to."""
    address = reverse("guidelines_read", args=[request.project.slug])
    return redirect(f"{address}?{urlencode({'next': back})}" if back else address)


def _show(
    request: ProjectRequest,
    found: Task,
    *,
    slot: Slot | None = None,
    errors: dict[str, str] | None = None,
    hints: Sequence[str] = (),
    preview: str = "",
) -> HttpResponseBase:
    """The task's page. After a refused form it shows what was typed, not what was saved."""
    sheet = sheets.lay_out(task=found, labeler=request.user)
    filled = _payload(request, found) if request.method == "POST" else sheet.draft
    context = {
        "nav": "work",
        "sheet": sheet,
        **kinds.of(found).context(sheet, filled, errors or {}),
        "kind": kinds.of(found),
        "filled": filled,
        "errors": errors or {},
        "is_held": slot is not None or request.method == "POST",
        "idempotency_key": request.POST.get("idempotency_key") or sheet.idempotency_key,
        "skip_reasons": Skip.Reason.choices,
        "hints": hints,
        "preview": preview,
    }
    return render(request, kinds.of(found).template, context, status=422 if errors else 200)


def _payload(request: ProjectRequest, found: Task) -> dict[str, Any]:
    return kinds.of(found).read(request.POST, found)


def _unavailable(request: ProjectRequest, found: Task) -> HttpResponseBase:
    context = {
        "nav": "work",
        "is_judged": assignments.has_judged(task=found, labeler=request.user),
        "is_skipped": Skip.objects.filter(task=found, labeler=request.user).exists(),
        "num_held": found.slots.filter(state=Slot.State.HELD).count(),
        "family": kinds.of(found).family,
    }
    return render(request, "work/unavailable.html", context, status=409)
