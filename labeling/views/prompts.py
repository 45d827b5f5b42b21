"""Prompts: finding, reading, adding and changing them, and making tasks of them."""

import secrets
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.db.models.functions import Left
from django.http import HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labeling.forms.prompts import ManyChangeForm, PromptChangeForm, PromptFilterForm, PromptForm
from labeling.forms.tasks import AskForAnnotationsForm, AskForDemonstrationsForm, CompareForm, MakeRankingTasksForm
from labeling.models import Demonstration, Model, Prompt, Ranking, Response, Role, Task
from labeling.permissions import ProjectRequest, member
from labeling.services import annotations, asking, selection, tasks
from labeling.services import prompts as service
from labeling.services.scores import choice
from labeling.views import keyset, prompt_care

MAX_SELECTED = 500
SHOWN_CHARS = 240
DEFAULT_RANDOM_PERCENT = 20
ACTIONS = {
    "rank": (MakeRankingTasksForm, "Make ranking tasks"),
    "compare": (CompareForm, "Compare two at a time"),
    "demonstrate": (AskForDemonstrationsForm, "Ask for demonstrations"),
    "annotate": (AskForAnnotationsForm, "Ask for labels"),
    "change": (ManyChangeForm, "Change prompts"),
}


def _make_ranking_tasks(
    *, prompts: QuerySet[Prompt], way: str, num_prompts: int | None, random_percent: int | None, **fields: Any
) -> tasks.TaskCounts:
    """In order, or by lot, or where labelers differed or a reward model is unsure, with a random share as control."""
    if way in ("", selection.IN_ORDER):
        return tasks.make_ranking_tasks(prompts=prompts, **fields)
    seed = secrets.randbelow(2**31)
    share = DEFAULT_RANDOM_PERCENT if random_percent is None else random_percent
    if way in choice.WAYS:
        return _make_by_models(prompts=prompts, way=way, num=num_prompts, random_percent=share, seed=seed, **fields)
    chosen = selection.pick(prompts, way=way, num=num_prompts, random_percent=share, seed=seed)
    return tasks.make_ranking_tasks(prompts=selection.in_order(chosen), chosen=chosen, **fields)


def _make_by_models(
    *,
    prompts: QuerySet[Prompt],
    way: str,
    judges: Sequence[Model],
    num: int | None,
    random_percent: int,
    seed: int,
    **fields: Any,
) -> tasks.TaskCounts:
    """Where reward models are unsure, of the prompts that can become a task; the control is drawn from those, too."""
    of_task = {name: fields[name] for name in ("num_responses", "model")}
    found = choice.worth(prompts, way=way, judges=judges, **of_task)
    num = len(found.of_prompt) if num is None else num
    chosen = selection.choose(found.of_prompt, num=num, random_percent=random_percent, seed=seed)
    counts = tasks.make_ranking_tasks(prompts=selection.in_order(chosen), chosen=chosen, **fields)
    counts.num_unscored, counts.num_passed_over = found.num_unscored, found.num_without_task
    return counts


MAKERS: dict[str, Callable[..., tasks.TaskCounts]] = {
    "rank": _make_ranking_tasks,
    "compare": asking.ask_for_comparisons,
    "demonstrate": tasks.make_demonstration_tasks,
    "annotate": asking.ask_for_annotations,
}


@require_safe
@member(Role.MANAGER)
def show_all(request: ProjectRequest) -> HttpResponseBase:
    form = PromptFilterForm(request.GET, project=request.project)
    found = form.apply()
    # The text is cut in the database: a story of 40,000 characters is not needed for two lines.
    rows = found.defer("messages", "text").annotate(beginning=Left("text", SHOWN_CHARS + 1))
    page = keyset.page_of(rows, request)
    num_found = keyset.count(found)
    context = {
        "nav": "prompts",
        "form": form,
        "page": page,
        "num_found": num_found,
        "num_found_words": keyset.count_words(num_found),
        "responses": _count_by_prompt(Response.objects.all(), page.rows),
        "tasks": _count_by_prompt(Task.objects.filter(purpose=Task.Purpose.WORK), page.rows),
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "has_any": bool(page.rows) or Prompt.objects.filter(project=request.project).exists(),
    }
    return render(request, "prompts/list.html", context)


def _count_by_prompt(rows: QuerySet[Any], prompts: Iterable[Prompt]) -> Counter[int]:
    counts = rows.order_by().filter(prompt__in=list(prompts)).values_list("prompt").annotate(num=Count("pk"))
    return Counter(dict(counts))


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def add(request: ProjectRequest) -> HttpResponseBase:
    form = PromptForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            prompt = service.add(
                project=request.project, messages=form.messages(), author=request.user, **form.fields_of_prompt()
            )
        except service.PromptError as error:
            form.add_error("text", str(error))
        else:
            messages.success(request, f"The prompt is added; it is in {prompt.get_split_display().lower()}.")
            return redirect("prompt", request.project.slug, prompt.uid)
    return render(request, "prompts/add.html", {"nav": "prompts", "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@member(Role.MANAGER)
def show(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    prompt = get_object_or_404(Prompt.objects.select_related("author", "batch"), project=request.project, uid=uid)
    form = PromptChangeForm(request.POST or None, instance=prompt)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("prompt", request.project.slug, prompt.uid)
    context = {"nav": "prompts", "prompt": prompt, "form": form, **_belonging(prompt)}
    return render(request, "prompts/show.html", context)


def _belonging(prompt: Prompt) -> dict[str, Any]:
    """Newest first; a page shows a hundred of each at most."""
    rankings = Ranking.objects.of_work().filter(task__prompt=prompt).select_related("labeler", "task")
    return {
        "responses": prompt.responses.select_related("model")
        .prefetch_related("playground_replies__turn")
        .order_by("model__name", "sample_index")[:100],
        "tasks": prompt.tasks.filter(purpose=Task.Purpose.WORK)
        .annotate(num_rankings=Count("rankings"))
        .order_by("-pk")[:100],
        "rankings": rankings.order_by("-pk")[:100],
        "labels": annotations.of_prompt(prompt),
        "demonstrations": Demonstration.objects.counted()
        .filter(prompt=prompt)
        .select_related("labeler")
        .order_by("-pk")[:100],
    }


@require_POST
@member(Role.MANAGER)
def clear_response(request: ProjectRequest, uid: uuid.UUID) -> HttpResponseBase:
    """A manager has looked: the text does not give its model away, or may be ranked all the same."""
    response = get_object_or_404(Response, prompt__project=request.project, uid=uid)
    Response.objects.filter(pk=response.pk).update(names_itself=request.POST.get("names_itself") == "1")
    messages.success(request, "Saved.")
    return redirect("prompt", request.project.slug, response.prompt.uid)


# --- many at once ------------------------------------------------------------------------------------------------


@require_POST
@member(Role.MANAGER)
def select(request: ProjectRequest) -> HttpResponseBase:
    """The page between ticking prompts and doing something with them. `done` is set by its own form."""
    action = request.POST.get("action", "")
    chosen, scope = _chosen(request)
    if action == "suggest" and chosen.exists():
        return prompt_care.offer(request, chosen, _list_address(request))
    if action not in ACTIONS or not chosen.exists():
        messages.warning(request, "No prompt was chosen. Tick some, or choose all that the filters find.")
        return redirect(_list_address(request))
    form_class, title = ACTIONS[action]
    extra: dict[str, Any] = {"project": request.project} if action in ("rank", "compare") else {}
    form = form_class(request.POST if "done" in request.POST else None, **extra)
    if form.is_bound and form.is_valid():
        return _do(request, action, chosen, form)
    context = {
        "nav": "prompts",
        "form": form,
        "action": action,
        "title": title,
        "num": keyset.count_words(keyset.count(chosen)),
        "scope": scope,
        "filters": request.POST.get("filters", ""),
        "selected": request.POST.getlist("prompt")[:MAX_SELECTED],
        "back": _list_address(request),
    }
    return render(request, "prompts/select.html", context)


def _chosen(request: ProjectRequest) -> tuple[QuerySet[Prompt], str]:
    if request.POST.get("scope") == "filtered":
        filters = PromptFilterForm(QueryDict(request.POST.get("filters", "")), project=request.project)
        return filters.apply(), "filtered"
    uids = [uid for given in request.POST.getlist("prompt")[:MAX_SELECTED] if (uid := _uuid(given))]
    return Prompt.objects.filter(project=request.project, uid__in=uids), "selected"


def _uuid(given: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(given)
    except ValueError:
        return None


def _do(request: ProjectRequest, action: str, chosen: QuerySet[Prompt], form: Any) -> HttpResponseBase:
    if action == "change":
        num = service.change(prompts=chosen, changes=form.changes())
        messages.success(request, f"{num:,} prompt{'s' if num != 1 else ''} changed.")
        return redirect(_list_address(request))
    try:
        counts = MAKERS[action](project=request.project, prompts=chosen, user=request.user, **form.cleaned_data)
    except tasks.TaskError as error:
        messages.error(request, str(error))
        return redirect(_list_address(request))
    _tell(request, counts)
    return redirect(
        "tasks" if counts.num_made else _list_address(request), *([request.project.slug] if counts.num_made else [])
    )


def _tell(request: ProjectRequest, counts: tasks.TaskCounts) -> None:
    """What was made, and why what was not made was not."""
    made = f"{counts.num_made:,} task{'s' if counts.num_made != 1 else ''} made."
    reasons = [f"{num:,} not: {reason}." for reason, num in counts.by_reason.items()]
    if counts.num_names_itself:
        reasons.append(f"{counts.num_names_itself:,} responses left out that seem to name their model.")
    if counts.num_passed_over:
        reasons.append(f"{counts.num_passed_over:,} passed over: too few responses, or a task with the same.")
    if counts.num_unscored:
        reasons.append(f"{counts.num_unscored:,} came last: not all of its responses have a score.")
    if counts.num_same_text:
        reasons.append(f"{counts.num_same_text:,} responses left out that repeat another one.")
    (messages.success if counts.num_made else messages.warning)(request, " ".join([made, *reasons]))


def _list_address(request: ProjectRequest) -> str:
    filters = QueryDict(request.POST.get("filters", "")).urlencode()
    return reverse("prompts", args=[request.project.slug]) + (f"?{filters}" if filters else "")
