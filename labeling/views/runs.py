"""Pages of runs: the list, several side by side, a new one, one run with its tabs, and what people do with it."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.forms.run_lists import RunFilterForm
from labeling.forms.runs import NoteForm, StageForm, TasksForm, initial_values, shown_specs
from labeling.models import Prompt, Role, Run, Snapshot, Stage
from labeling.permissions import ProjectRequest, member
from labeling.services import comparison, runs, tasks
from labeling.views import run_tabs
from training.contract import configs
from training.contract.configs import STAGES, ConfigError

PER_PAGE = 50
BESIDE = {Stage.FETCH: "model_import", Stage.TALK: "playground"}  # stages whose runs begin on a page of their own
#: The stage that a kind of snapshot is made for.
READ_BY: dict[str, Stage] = {
    Snapshot.Kind.REWARD: Stage.REWARD,
    Snapshot.Kind.SFT: Stage.SFT,
    Snapshot.Kind.RESPONSES: Stage.SCORE,
}


@require_GET
@member(Role.REVIEWER)
def show_all(request: ProjectRequest) -> HttpResponse:
    form = RunFilterForm(request.GET, project=request.project)
    found = form.apply().select_related("created_by", "round", "model")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "nav": "runs",
        "page": page,
        "form": form,
        "is_filtered": any(form.cleaned_data.values()),
        "num_talks": form.num_left_out,
        "is_live": any(run.is_live for run in page),
    }
    return render(request, "runs/parts/table.html" if request.headers.get("HX-Request") else "runs/list.html", context)


@require_GET
@member(Role.REVIEWER)
def compare(request: ProjectRequest) -> HttpResponse:
    """Up to ten runs side by side: what differs (or all), and their curves in one chart per metric."""
    asked = list(dict.fromkeys(uid for uid in map(as_uid, request.GET.getlist("run")) if uid))
    shows_all = request.GET.get("all") == "1"
    runs_wanted = Run.objects.filter(project=request.project, uid__in=asked[: comparison.MOST])
    found = comparison.of(runs_wanted, shows_all=shows_all)
    if len(found.runs) < 2:
        messages.error(request, "Choose two runs or more to compare.")
        return redirect("runs", request.project.slug)
    num_left = max(0, len(asked) - comparison.MOST)
    context = {"nav": "runs", "comparison": found, "shows_all": shows_all, "num_left": num_left}
    return render(request, "runs/compare.html", context)


@require_GET
@member(Role.MANAGER)
def choose(request: ProjectRequest) -> HttpResponse:
    """Which stage? A snapshot in the address leads to the stage that reads it."""
    snapshot = _named_snapshot(request)
    if snapshot and snapshot.kind in READ_BY:
        address = reverse("run_new_stage", args=[request.project.slug, READ_BY[snapshot.kind]])
        return redirect(f"{address}?snapshot={snapshot.uid}")
    stages = [(stage, Stage(stage).label, _about(stage)) for stage in STAGES]
    return render(request, "runs/choose.html", {"nav": "runs", "stages": stages, "query": request.GET.urlencode()})


@require_http_methods(["GET", "POST"])
@member(Role.MANAGER)
def create(request: ProjectRequest, stage: str) -> HttpResponse:
    if stage in BESIDE:
        return redirect(BESIDE[Stage(stage)], request.project.slug)
    if stage not in STAGES:
        raise Http404
    clone = _named_run(request, stage)
    form = StageForm(
        request.POST or None,
        request.FILES or None,
        project=request.project,
        stage=stage,
        user=request.user,
        initial=_initial(request, stage, clone),
    )
    if request.method == "POST" and form.is_valid() and (run := _create(request, form)):
        return redirect("run", request.project.slug, run.uid)
    context = {
        "nav": "runs",
        "form": form,
        "stage": stage,
        "label": Stage(stage).label,
        "about": _about(stage),
        "presets": configs.PRESETS,
        "preset": form["preset"].value(),
        "kept": [(name, value) for name, value in request.GET.items() if name != "preset"],
        "clone": clone,
    }
    return render(request, "runs/new.html", context, status=422 if form.errors else 200)


@require_GET
@member(Role.REVIEWER)
def show(request: ProjectRequest, uid: str, tab: str = "overview") -> HttpResponse:
    run = _get(request, uid)
    asked = run_tabs.Asked(tab=tab, query=request.GET, is_manager=request.role == Role.MANAGER)
    context = {"nav": "runs", "run": run, "tab": tab, "tabs": run_tabs.labels(run), **run_tabs.context(run, asked)}
    return render(request, f"runs/{tab}.html", context)


@require_POST
@member(Role.MANAGER)
def cancel(request: ProjectRequest, uid: str) -> HttpResponse:
    run = _get(request, uid)
    return _change(request, run, lambda: runs.cancel(run, user=request.user), "The run stops after a checkpoint.")


@require_POST
@member(Role.MANAGER)
def resume(request: ProjectRequest, uid: str) -> HttpResponse:
    run = _get(request, uid)
    return _change(
        request, run, lambda: runs.resume(run, user=request.user), "The run goes on from its last checkpoint."
    )


@require_POST
@member(Role.MANAGER)
def annotate(request: ProjectRequest, uid: str) -> HttpResponse:
    run, form = _get(request, uid), NoteForm(request.POST)
    if form.is_valid():
        runs.annotate(run, note=form.cleaned_data["note"], tags=form.cleaned_data["tags"])
        messages.success(request, "The note is saved.")
    else:
        messages.error(request, "The note was not saved: it is too long.")
    return redirect("run", request.project.slug, run.uid)


@require_POST
@member(Role.MANAGER)
def make_tasks(request: ProjectRequest, uid: str) -> HttpResponse:
    """Ranking tasks from what a generate run sampled."""
    run, form = _get(request, uid), TasksForm(request.POST)
    item = run.inputs.select_related("model").filter(name="model").first()
    if run.stage != Stage.GENERATE or item is None or not form.is_valid():
        messages.error(request, "Give 2 to 9 responses per task and at least one judgement.")
        return redirect("run", request.project.slug, run.uid)
    prompts = Prompt.objects.filter(responses__run=run).distinct().order_by("pk")
    try:
        counts = tasks.make_ranking_tasks(
            project=request.project, prompts=prompts, model=item.model, user=request.user, **form.cleaned_data
        )
    except tasks.TaskError as error:
        messages.error(request, str(error))
    else:
        refused = "".join(f" {count:,} prompts without: {reason}." for reason, count in counts.by_reason.items())
        messages.success(request, f"{counts.num_made:,} ranking tasks are made.{refused}")
    return redirect("run", request.project.slug, run.uid)


def _initial(request: ProjectRequest, stage: str, clone: Run | None) -> dict[str, Any]:
    preset = request.GET.get("preset", "")
    preset = preset if preset in configs.PRESETS else (clone.preset if clone else "tiny-cpu")
    initial = initial_values(project=request.project, stage=stage, preset=preset, clone=clone)
    if snapshot := _named_snapshot(request):
        fits = [spec.name for spec in configs.specs(STAGES[stage]) if spec.input == f"snapshot:{snapshot.kind}"]
        initial |= {name: str(snapshot.uid) for name in fits[:1]}
    return initial | _asked(request, stage)


def _asked(request: ProjectRequest, stage: str) -> dict[str, str]:
    """Fields that the address fills in, as the report's links do. The form judges them when it is sent."""
    return {spec.name: request.GET[spec.name] for spec in shown_specs(stage) if spec.name in request.GET}


def _about(stage: str) -> str:
    """What the stage says of itself, without its name where that is the heading already."""
    text = (STAGES[stage].__doc__ or "").strip()
    name, _, rest = text.partition(": ")
    return rest[:1].upper() + rest[1:] if rest and name.lower() in str(Stage(stage).label).lower() else text


def _named_snapshot(request: ProjectRequest) -> Snapshot | None:
    uid = as_uid(request.GET.get("snapshot", ""))
    return Snapshot.objects.filter(project=request.project, uid=uid).first() if uid else None


def _named_run(request: ProjectRequest, stage: str) -> Run | None:
    uid = as_uid(request.GET.get("from", ""))
    return Run.objects.filter(project=request.project, stage=stage, uid=uid).first() if uid else None


def as_uid(text: str) -> UUID | None:
    """Anything in a query that is no UUID is as if it were not there."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _create(request: ProjectRequest, form: StageForm) -> Run | None:
    cleaned = form.cleaned_data
    try:
        return runs.create(
            project=request.project,
            stage=form.stage,
            config=form.config(),
            inputs=form.inputs(),
            files=form.files_chosen(),
            preset=cleaned["preset"],
            name=cleaned["name"],
            text=cleaned["note"],
            user=request.user,
            idempotency_key=cleaned["idempotency_key"],
        )
    except ConfigError as error:  # an input went away between the check and now
        form.add_error(None, str(error))
        return None


def _change(request: ProjectRequest, run: Run, act: Any, done: str) -> HttpResponse:
    try:
        act()
    except (runs.RunError, runs.IllegalTransition) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, done)
    return redirect("run", request.project.slug, run.uid)


def _get(request: ProjectRequest, uid: str) -> Run:
    found = Run.objects.select_related("project", "created_by", "round")
    return get_object_or_404(found, project=request.project, uid=uid)
