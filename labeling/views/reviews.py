"""Reviews: the reviewer's queue, the blind ranking, and the decision beside what the labelers said."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.forms import work as forms
from labeling.models import Ranking, Review, Role, Task
from labeling.permissions import ProjectRequest, member
from labeling.services import answers, sheets
from labeling.services.answers import LETTERS, AnswerError
from labeling.services.drafts import DraftError
from labeling.services.quality import review_drafts
from labeling.services.quality import reviews as service
from labeling.services.quality.reviews import ReviewError, Voice

NUM_SHOWN = 100
PAGE = 50


@require_safe
@member(Role.REVIEWER)
def queue(request: ProjectRequest) -> HttpResponseBase:
    """What this person can review, worst first."""
    waiting = service.queue(project=request.project, reviewer=request.user)
    context = {
        "nav": "reviews",
        "tab": "queue",
        "waiting": waiting[:NUM_SHOWN],
        "num_waiting": waiting.count(),
        "num_decided": Review.objects.filter(project=request.project, reviewer=request.user, state="done").count(),
    }
    return render(request, "quality/queue.html", context)


@require_safe
@member(Role.MANAGER)
def show_all(request: ProjectRequest) -> HttpResponseBase:
    """Every review, with who decided what."""
    reviews = Review.objects.filter(project=request.project).select_related("task__prompt", "reviewer", "ranking")
    state = request.GET.get("state", "")
    if state in Review.State.values:
        reviews = reviews.filter(state=state)
    context = {
        "nav": "quality",
        "tab": "reviews",
        "state": state,
        "states": Review.State.choices,
        "page_obj": Paginator(reviews.order_by("-pk"), PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "quality/reviews.html", context)


@require_POST
@member(Role.REVIEWER)
def take_next(request: ProjectRequest) -> HttpResponseBase:
    return _go_on(request)


@require_POST
@member(Role.MANAGER)
def ask(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """Ask a reviewer to look at a task."""
    task = get_object_or_404(Task.objects.select_related("project"), project=request.project, uid=uid)
    if service.ask(task=task, by=request.user):
        messages.success(request, "A reviewer will rank it and decide.")
    else:
        messages.warning(
            request, "Nothing was asked: it has a review already, is part of an evaluation, or people cannot rank it."
        )
    return redirect("task", request.project.slug, uid)


@never_cache
@require_http_methods(["GET", "POST"])
@member(Role.REVIEWER)
def show(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """First the board without anybody's ranking; after one's own, what the labelers said; then the decision."""
    reviews = Review.objects.select_related("task__prompt", "task__project", "project", "ranking")
    found = get_object_or_404(reviews, project=request.project, uid=uid)
    if request.method == "POST":
        return _act(request, found)
    if found.state == Review.State.DONE and _may_see(request, found):
        return _show_decision(request, found)
    if not service.take(review=found, reviewer=request.user):
        return render(request, "quality/review_gone.html", {"nav": "reviews", "review": found}, status=409)
    return _show_board(request, found)


def _may_see(request: ProjectRequest, found: Review) -> bool:
    return request.role == Role.MANAGER or found.reviewer_id == request.user.pk


def _act(request: ProjectRequest, found: Review) -> HttpResponseBase:
    action = request.POST.get("action", "")
    try:
        if action == "dismiss":
            service.dismiss(review=found, by=request.user, note=request.POST.get("dismiss_note", ""))
            messages.success(request, "Marked as not needed.")
            return _go_on(request)
        if action == "give_back":
            service.give_back(review=found, reviewer=request.user)
            return redirect("reviews", request.project.slug)
        if action == "draft":
            return _keep(request, found)
        if service.own_ranking(review=found, reviewer=request.user):
            return _decide(request, found)
        return _rank(request, found)
    except (ReviewError, DraftError) as error:
        messages.error(request, str(error))
        return redirect("reviews", request.project.slug)


def _keep(request: ProjectRequest, found: Review) -> HttpResponseBase:
    """Save the draft and stay."""
    payload = _payload(request, found)
    version = forms.read_version(request.POST)
    if review_drafts.save(review=found, reviewer=request.user, payload=payload, version=version):
        messages.success(request, "Your draft is saved.")
        return redirect("review", request.project.slug, found.uid)
    messages.warning(request, "A newer draft was saved from another window. It is kept; this is what you have here.")
    return _show_board(request, found, filled=payload)


def _payload(request: ProjectRequest, found: Review) -> dict[str, Any]:
    """What the form holds, as a draft keeps it."""
    also = {"step": request.POST.get("step", ""), "review_note": request.POST.get("review_note", "")}
    return {**forms.read_ranking(request.POST, found.task.num_responses), **also}


def _rank(request: ProjectRequest, found: Review) -> HttpResponseBase:
    payload = _payload(request, found)
    try:
        service.rank(
            review=found,
            reviewer=request.user,
            idempotency_key=_key(request),
            answer=forms.to_answer(found.task, payload, forms.read_circumstances(request.POST)),
        )
    except AnswerError as error:
        return _show_board(request, found, filled=payload, errors=error.errors)
    return redirect("review", request.project.slug, found.uid)


def _decide(request: ProjectRequest, found: Review) -> HttpResponseBase:
    payload = _payload(request, found)
    try:
        service.decide(
            review=found,
            reviewer=request.user,
            note=request.POST.get("review_note", ""),
            idempotency_key=_key(request),
            answer=forms.to_answer(found.task, payload, forms.read_circumstances(request.POST)),
        )
    except AnswerError as error:
        return _show_board(request, found, filled=payload, errors=error.errors)
    messages.success(request, "Decided. The labelers' rankings stay as they were.")
    return _go_on(request)


def _go_on(request: ProjectRequest) -> HttpResponseBase:
    following = service.take_next(project=request.project, reviewer=request.user)
    if following:
        return redirect("review", request.project.slug, following.uid)
    return redirect("reviews", request.project.slug)


def _key(request: ProjectRequest) -> str:
    return request.POST.get("idempotency_key", "") or str(uuid.uuid4())


@dataclass(frozen=True)
class Column:
    """One ranking beside the others: its ranks by the reviewer's letters."""

    name: str
    ranks: list[int | None]
    agreement: float | None
    outcome: str
    remarks: list[tuple[str, str]]


def _show_board(
    request: ProjectRequest,
    found: Review,
    *,
    filled: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
) -> HttpResponseBase:
    own = service.own_ranking(review=found, reviewer=request.user)
    if own:
        own.task = found.task
        sheet = sheets.lay_out_again(ranking=own)
    else:
        sheet = sheets.lay_out(task=found.task, labeler=request.user)
    step = review_drafts.DECIDE if own else review_drafts.RANK
    draft = review_drafts.load(review=found, reviewer=request.user, step=step)
    filled = filled or draft.payload or (sheet.draft if own else {})
    context = {
        "nav": "reviews",
        "review": found,
        "sheet": sheet,
        "ranking": own,
        "step": step,
        "draft": draft,
        "cards": forms.fill_cards(sheet, filled, errors or {}),
        "filled": filled,
        "errors": errors or {},
        "idempotency_key": request.POST.get("idempotency_key") or sheet.idempotency_key,
        "ratings": answers.RATINGS,
        "columns": _columns(own, service.voices(found)) if own else [],
        "letters": LETTERS[: found.task.num_responses],
    }
    return render(request, "quality/review.html", context, status=422 if errors else 200)


def _show_decision(request: ProjectRequest, found: Review) -> HttpResponseBase:
    assert found.ranking is not None  # noqa: S101  # a CHECK holds it for what is decided
    sheet = sheets.lay_out_again(ranking=found.ranking)
    context = {
        "nav": "reviews",
        "review": found,
        "sheet": sheet,
        "ranking": found.ranking,
        "cards": forms.fill_cards(sheet, sheet.draft, {}),
        "filled": sheet.draft,
        "ratings": answers.RATINGS,
        "columns": _columns(found.ranking, service.voices(found)),
        "letters": LETTERS[: found.task.num_responses],
        "is_decided": True,
    }
    return render(request, "quality/review.html", context)


def _columns(own: Ranking, voices: list[Voice]) -> list[Column]:
    mine = Column("You", _by_letter(own.ranks, own.displayed), None, own.get_outcome_display(), [])
    return [mine, *(_column(voice, own) for voice in voices)]


def _column(voice: Voice, own: Ranking) -> Column:
    ranking = voice.ranking
    remarks = [
        (LETTERS[place], text) for place, position in enumerate(own.displayed) if (text := _said(ranking, position))
    ]
    if ranking.note:
        remarks.append(("", ranking.note))
    return Column(
        voice.name,
        _by_letter(ranking.ranks, own.displayed),
        service.agreement_of([own.ranks, ranking.ranks]),
        ranking.get_outcome_display(),
        remarks,
    )


def _said(ranking: Ranking, position: int) -> str:
    """Flags and note of one response."""
    note = ranking.notes.get(str(position), "")
    return " · ".join([*ranking.flags.get(str(position), []), *([note] if note else [])])


def _by_letter(ranks: list[int], displayed: list[int]) -> list[int | None]:
    return [ranks[position] if ranks else None for position in displayed]
