"""The playground's pages: one's conversations, one conversation, and what is sent on from it."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Left
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.forms.playground import DemonstrationForm, MoreForm, OpenForm, RankForm, SayForm
from labeling.models import PlaygroundReply, PlaygroundSession, PlaygroundTurn, Role
from labeling.permissions import ProjectRequest, member
from labeling.services import playground
from labeling.services.conversations import Conversation
from labeling.services.playground import PlaygroundError, SendError, TurnShown
from labeling.views.runs import as_uid

PER_PAGE = 30
TITLE_CHARS = 90


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def show_all(request: ProjectRequest) -> HttpResponse:
    """One's own conversations, and a new one."""
    named = as_uid(request.GET.get("model", ""))
    form = OpenForm(request.POST or None, project=request.project, initial={"first_model": named} if named else {})
    if request.method == "POST" and form.is_valid():
        session = playground.start(project=request.project, user=request.user, **form.cleaned_data)
        return redirect("playground_session", request.project.slug, session.uid)
    first = PlaygroundTurn.objects.filter(session=OuterRef("pk"), number=1).values("text")
    own = _own(request).annotate(num_turns=Count("turns"), title=Left(Subquery(first), TITLE_CHARS))
    page = Paginator(own.order_by("-created_at", "-pk"), PER_PAGE).get_page(request.GET.get("page"))
    context = {"nav": "playground", "form": form, "page": page}
    return render(request, "playground/list.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def show(request: ProjectRequest, uid: UUID) -> HttpResponse:
    """The conversation; posting says something."""
    session = _get(request, uid)
    last = session.turns.order_by("number").last()
    form = SayForm(request.POST or None, last=last, num_models=len(session.models))
    if request.method == "POST" and form.is_valid() and _say(session, form):
        return redirect(_address(session, request))
    turns = playground.shown_turns(session)
    context = {
        "nav": "playground",
        "session": session,
        "turns": turns,
        "is_turn_open": any(shown.is_open for shown in turns),
        "standing": playground.standing_of(session),
        "form": form,
    }
    return render(request, "playground/show.html", context, status=422 if form.errors else 200)


@require_GET
@member(Role.MANAGER)
def live(request: ProjectRequest, uid: UUID) -> HttpResponse:
    """What changes by itself: how the conversation stands, and the turn that is being answered."""
    session = _get(request, uid)
    number = request.GET.get("turn", "")
    shown = playground.shown_turn(session, int(number)) if number.isdecimal() and len(number) < 10 else None
    context = {"session": session, "shown": shown, "standing": playground.standing_of(session)}
    return render(request, "playground/parts/live.html", context)


@require_POST
@member(Role.MANAGER)
def change(request: ProjectRequest, uid: UUID, action: str) -> HttpResponse:
    session = _get(request, uid)
    try:
        if action == "stop":
            playground.stop(session=session)
        elif action == "wake":
            playground.wake(session)
        elif last := session.turns.order_by("number").last():
            playground.try_again(turn=last)
    except PlaygroundError as error:
        messages.error(request, str(error))
    return redirect(_address(session, request))


@require_POST
@member(Role.MANAGER)
def forget(request: ProjectRequest, uid: UUID) -> HttpResponse:
    playground.forget(session=_get(request, uid))
    messages.success(request, "The conversation is deleted. What you sent on from it stays.")
    return redirect("playground", request.project.slug)


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def rank(request: ProjectRequest, uid: UUID, number: int) -> HttpResponse:
    """Which answers to rank; or first further samples."""
    session, shown = _turn(request, uid, number)
    chosen = request.POST.getlist("replies") or [str(reply.uid) for reply in playground.proposed(shown.turn)]
    form = RankForm(request.POST or None, turn=shown.turn)
    if request.method == "POST" and form.is_valid() and _rank(request, shown, form):
        return redirect(_address(session, request, number))
    context = {
        "nav": "playground",
        "session": session,
        "shown": shown,
        "standing": playground.standing_of(session),
        "form": form,
        "more_form": MoreForm(),
        "chosen": chosen,
        "has_one_thread": Conversation(session).has_one_thread(shown.turn),
    }
    return render(request, "playground/rank.html", context, status=422 if form.errors else 200)


@require_POST
@member(Role.MANAGER)
def sample_more(request: ProjectRequest, uid: UUID, number: int) -> HttpResponse:
    session, shown = _turn(request, uid, number)
    form = MoreForm(request.POST)
    try:
        playground.sample_more(turn=shown.turn, num=form.cleaned_data["num"] if form.is_valid() else 0)
    except PlaygroundError as error:
        messages.error(request, str(error))
    return redirect("playground_rank", request.project.slug, session.uid, number)


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def demonstrate(request: ProjectRequest, uid: UUID) -> HttpResponse:
    """An answer, to be changed and kept as one's own."""
    replies = PlaygroundReply.objects.select_related("turn__session__project", "model")
    reply = get_object_or_404(replies, turn__session__in=_own(request), uid=uid)
    session = reply.turn.session
    form = DemonstrationForm(request.POST or None, initial={"text": reply.text})
    if request.method == "POST" and form.is_valid() and _demonstrate(request, reply, form):
        return redirect(_address(session, request, reply.turn.number))
    thread = Conversation(session).messages(reply.turn, reply.side)
    context = {"nav": "playground", "session": session, "reply": reply, "form": form, "thread": thread}
    return render(request, "playground/demonstrate.html", context, status=422 if form.errors else 200)


def _say(session: PlaygroundSession, form: SayForm) -> bool:
    try:
        playground.say(
            session=session,
            text=form.cleaned_data["text"],
            idempotency_key=form.cleaned_data["idempotency_key"],
            sampling=form.sampling(),
            goes_on_from=form.cleaned_data.get("goes_on_from") or PlaygroundTurn.GoesOnFrom.OWN,
        )
    except PlaygroundError as error:
        form.add_error("text", str(error))
        return False
    return True


def _rank(request: ProjectRequest, shown: TurnShown, form: RankForm) -> bool:
    asked = form.cleaned_data
    try:
        task, is_new = playground.to_ranking(
            turn=shown.turn,
            replies=list(asked["replies"].select_related("model")),
            num_wanted=asked["num_wanted"],
            kind=form.kind(),
            user=request.user,
        )
    except SendError as error:
        form.add_error(None, str(error))
        return False
    address = reverse("task", args=[request.project.slug, task.uid])
    text = "It waits to be ranked:" if is_new else "These answers are in a ranking task already:"
    messages.success(request, format_html('{} <a href="{}">see the task</a>.', text, address))
    return True


def _demonstrate(request: ProjectRequest, reply: PlaygroundReply, form: DemonstrationForm) -> bool:
    asked = form.cleaned_data
    try:
        demonstration = playground.as_demonstration(
            reply=reply,
            text=asked["text"],
            kind=form.kind(),
            user=request.user,
            idempotency_key=asked["idempotency_key"],
        )
    except SendError as error:
        form.add_error("text", str(error))
        return False
    address = reverse("prompt", args=[request.project.slug, demonstration.prompt.uid])
    messages.success(request, format_html('It is a demonstration now: <a href="{}">see its prompt</a>.', address))
    return True


def _own(request: ProjectRequest) -> QuerySet[PlaygroundSession]:
    """Everybody sees their own conversations alone."""
    related = ("project", "first_model", "second_model", "reward_model", "run")
    found = PlaygroundSession.objects.filter(project=request.project, opened_by=request.user)
    return found.select_related(*related)


def _get(request: ProjectRequest, uid: UUID) -> PlaygroundSession:
    return get_object_or_404(_own(request), uid=uid)


def _turn(request: ProjectRequest, uid: UUID, number: int) -> tuple[PlaygroundSession, TurnShown]:
    session = _get(request, uid)
    shown = playground.shown_turn(session, number)
    if shown is None:
        raise Http404
    shown.turn.session = session
    return session, shown


def _address(session: PlaygroundSession, request: ProjectRequest, number: int | None = None) -> str:
    """One of its turns, or its end, where the page goes by itself: a fragment would take the focus from the field."""
    address = reverse("playground_session", args=[request.project.slug, session.uid])
    return f"{address}#turn-{number}" if number else address
