"""Qualification sets: making one, its results, and the grades of written answers."""

import uuid
from collections.abc import Sequence

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.forms.quality import GradeForm, QualificationSetForm
from labeling.models import Demonstration, Prompt, QualificationSet, Role, Task, User
from labeling.permissions import ProjectRequest, member
from labeling.services import rendering, sheets
from labeling.services.quality import qualification as service
from labeling.services.quality import references as known
from labeling.services.quality.references import QualityError

NUM_CANDIDATES = 20


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def show_all(request: ProjectRequest) -> HttpResponseBase:
    form = QualificationSetForm(request.POST or None, project=request.project)
    if request.method == "POST" and form.is_valid():
        made = form.save()
        messages.success(request, f"{made.name} is a draft. Add what labelers are to do.")
        return redirect("qualification_set", request.project.slug, made.uid)
    sets = QualificationSet.objects.filter(project=request.project).annotate(
        num_tasks=Count("tasks", distinct=True),
        num_passed=Count("qualifications", distinct=True, filter=~Q(qualifications__state="failed")),
        num_failed=Count("qualifications", distinct=True, filter=Q(qualifications__state="failed")),
    )
    context = {"nav": "quality", "tab": "sets", "form": form, "sets": sets}
    return render(request, "quality/sets.html", context)


@require_safe
@member(Role.MANAGER)
def show(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    found = _set(request, uid)
    tasks = service.tasks_of(found).select_related("prompt", "reference").annotate(num_done=Count("rankings"))
    results = found.qualifications.select_related("labeler", "decided_by").order_by("state", "labeler__name")
    context = {
        "nav": "quality",
        "tab": "sets",
        "set": found,
        "tasks": tasks.order_by("pk"),
        "why_not_ready": service.why_not_ready(found),
        "results": results,
        "under_way": _under_way(found),
        "q": request.GET.get("q", "")[:200],
        "candidates": _candidates(request, found) if found.state == QualificationSet.State.DRAFT else [],
    }
    return render(request, "quality/set.html", context)


def _under_way(found: QualificationSet) -> list[tuple[User, service.Progress]]:
    """Labelers of the project without a result, and how far they are."""
    if found.state != QualificationSet.State.ACTIVE:
        return []
    labelers = User.objects.filter(
        memberships__project=found.project_id, memberships__role=Role.LABELER, memberships__is_active=True
    ).exclude(qualifications__qualification_set=found)
    return [(labeler, service.progress_of(found, labeler)) for labeler in labelers.order_by("name", "email")[:200]]


def _candidates(request: ProjectRequest, found: QualificationSet) -> Sequence[Task] | Sequence[Prompt]:
    """What can be added: ranking tasks with the most rankings first, or prompts."""
    text = request.GET.get("q", "").strip()[:200]
    if found.kind == QualificationSet.Kind.DEMONSTRATE:
        prompts = Prompt.objects.filter(project=request.project, is_retired=False, text__icontains=text)
        return list(prompts.exclude(tasks__qualification_set=found).order_by("-pk")[:NUM_CANDIDATES])
    tasks = Task.objects.filter(project=request.project, purpose=Task.Purpose.WORK, kind__in=known.RANKING_KINDS)
    tasks = tasks.filter(num_responses__lte=9, prompt__text__icontains=text).select_related("prompt")
    return list(tasks.annotate(num_rankings=Count("rankings")).order_by("-num_rankings", "-pk")[:NUM_CANDIDATES])


@require_POST
@member(Role.MANAGER)
def add(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    found = _set(request, uid)
    try:
        if found.kind == QualificationSet.Kind.DEMONSTRATE:
            prompt = get_object_or_404(Prompt, project=request.project, uid=_uid(request, "prompt"))
            known.ask_for_demonstration(prompt=prompt, qualification_set=found)
            messages.success(request, "The prompt is in the set.")
            return redirect("qualification_set", request.project.slug, uid)
        task = get_object_or_404(Task, project=request.project, uid=_uid(request, "task"))
        made = known.use_as_known_answer(task=task, user=request.user, qualification_set=found)
    except QualityError as error:
        messages.error(request, str(error))
        return redirect("qualification_set", request.project.slug, uid)
    messages.success(request, "The task is in the set. Give its reference ranking here.")
    return redirect("reference", request.project.slug, made.uid)


@require_POST
@member(Role.MANAGER)
def change(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """Activate, retire, or take a task out."""
    found = _set(request, uid)
    try:
        action = request.POST.get("action")
        if action == "activate":
            before = service.activate(qualification_set=found)
            retired = f" “{before.name}” is retired." if before else ""
            messages.success(request, f"Active: labelers who have not passed do it before any other work.{retired}")
        elif action == "retire":
            service.retire(qualification_set=found)
            messages.success(request, "Retired: nobody is asked for it any more. Results stay.")
        elif action == "remove":
            task = get_object_or_404(service.tasks_of(found), uid=_uid(request, "task"))
            service.remove(task=task)
            messages.success(request, "Taken out.")
    except QualityError as error:
        messages.error(request, str(error))
    return redirect("qualification_set", request.project.slug, uid)


@require_POST
@member(Role.MANAGER)
def let_pass(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    found = _set(request, uid)
    members = User.objects.filter(memberships__project=request.project).distinct()
    labeler = get_object_or_404(members, uid=_uid(request, "labeler"))
    service.let_pass(qualification_set=found, labeler=labeler, by=request.user)
    messages.success(request, f"{labeler} may work now.")
    return redirect("qualification_set", request.project.slug, uid)


# --- grades of written answers ---------------------------------------------------------------------------------------


@require_safe
@member(Role.REVIEWER)
def to_grade(request: ProjectRequest) -> HttpResponseBase:
    waiting = service.to_grade(request.project).exclude(labeler=request.user)
    context = {"nav": "reviews", "tab": "grades", "waiting": waiting[:200], "num_waiting": waiting.count()}
    return render(request, "quality/grades.html", context)


@require_http_methods(["GET", "POST"])
@member(Role.REVIEWER)
def grade(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """One answer, without its writer's name."""
    written = Demonstration.objects.filter(task__project=request.project, task__purpose=Task.Purpose.QUALIFICATION)
    found = get_object_or_404(written.exclude(labeler=request.user).select_related("prompt", "task"), uid=uid)
    given = getattr(found, "grade", None)
    initial = {"grade": str(given.grade), "note": given.note} if given else {}
    form = GradeForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        service.grade_demonstration(demonstration=found, by=request.user, **form.cleaned_data)
        return _next_grade(request)
    context = {
        "nav": "reviews",
        "demonstration": found,
        "conversation": [sheets.Message(m["role"], rendering.to_html(m["content"])) for m in found.prompt.messages],
        "form": form,
        "given": given,
    }
    return render(request, "quality/grade.html", context, status=422 if form.errors else 200)


def _next_grade(request: ProjectRequest) -> HttpResponseBase:
    following = service.to_grade(request.project).exclude(labeler=request.user).first()
    if following:
        return redirect("grade", request.project.slug, following.uid)
    messages.success(request, "Saved. No other answer waits for a grade.")
    return redirect("grades", request.project.slug)


def _set(request: ProjectRequest, uid: uuid.UUID) -> QualificationSet:
    return get_object_or_404(QualificationSet, project=request.project, uid=uid)


def _uid(request: ProjectRequest, name: str) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get(name, ""))
    except ValueError:
        return uuid.UUID(int=0)
