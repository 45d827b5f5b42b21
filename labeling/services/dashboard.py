"""What the first page of a project says: the loop in figures, what runs, what to do next, what the week brought."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast

from django.core.cache import cache
from django.db.models import Count, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from labeling.models import Demonstration, Model, Project, Prompt, Ranking, Response, Round, Run, Slot, Snapshot, Task
from labeling.services import agreement
from labeling.services.agreement import Agreement

DAYS = 7


@dataclass(frozen=True)
class Station:
    """One station of the loop. `page` is the name of its address."""

    label: str
    page: str
    num: int
    note: str = ""


@dataclass(frozen=True)
class Suggestion:
    """The one thing to do next. `page` and `arguments` make its address; `starts_round` makes it the loop button."""

    text: str
    verb: str
    page: str = ""
    arguments: tuple[Any, ...] = ()
    starts_round: bool = False


@dataclass(frozen=True)
class Day:
    day: date
    num_rankings: int


def stations(project: Project) -> list[Station]:
    """Seven stations, in the direction of the flow."""
    slots = Slot.objects.filter(project=project).aggregate(
        open=Count("pk", filter=Q(state="open")), held=Count("pk", filter=Q(state="held"))
    )
    snapshots = Snapshot.objects.filter(project=project).aggregate(
        ready=Count("pk", filter=Q(state="ready")), building=Count("pk", filter=Q(state__in=["queued", "building"]))
    )
    models = Model.objects.filter(project=project, is_retired=False).aggregate(
        reward=Count("pk", filter=Q(kind="reward")), policy=Count("pk", filter=Q(kind="policy"))
    )
    tasks = Task.objects.filter(project=project, num_responses__gt=0, purpose=Task.Purpose.WORK).count()
    current = Model.objects.filter(project=project, is_current=True).first()
    waiting = num_unfrozen_rankings(project)
    return [
        Station("Prompts", "prompts", Prompt.objects.filter(project=project).in_use().count()),
        Station("Responses", "prompts", Response.objects.filter(prompt__project=project).count()),
        Station("Tasks", "tasks", tasks, f"{slots['open']:,} open, {slots['held']:,} held"),
        Station("Rankings", "rankings", num_rankings(project), f"{waiting:,} not frozen yet" if waiting else ""),
        Station("Snapshots", "snapshots", snapshots["ready"], "one is being built" if snapshots["building"] else ""),
        Station("Reward models", "models", models["reward"]),
        Station("Policies", "models", models["policy"], f"{current.name} samples" if current else "none samples yet"),
    ]


def live_runs(project: Project) -> list[Run]:
    return list(
        Run.objects.filter(project=project, state__in=["queued", "running", "cancelling"]).order_by("queued_at")
    )


def newest_round(project: Project) -> Round | None:
    return Round.objects.filter(project=project).first()


def num_rankings(project: Project) -> int:
    return Ranking.objects.counted().filter(task__project=project).count()


def num_unfrozen_rankings(project: Project) -> int:
    """Rankings that no snapshot holds yet."""
    return Ranking.objects.trainable().filter(task__project=project, snapshot_rankings__isnull=True).count()


def week(project: Project) -> list[Day]:
    today = timezone.localdate()
    since = today - timedelta(days=DAYS - 1)
    rows = (
        Ranking.objects.counted()
        .filter(task__project=project, created_at__date__gte=since)
        .annotate(day=TruncDate("created_at"))
        .values("day")
        .annotate(num=Count("pk"))
    )
    found = {row["day"]: row["num"] for row in rows}
    days = (since + timedelta(days=number) for number in range(DAYS))
    return [Day(day, found.get(day, 0)) for day in days]


def agreement_of(project: Project, *, num: int) -> Agreement:
    """Kept for an hour per number of rankings (in steps of a hundredth): its bootstrap takes seconds for many."""
    key = f"agreement-{project.pk}-{num - num % max(1, num // 100)}"
    return cast(Agreement, cache.get_or_set(key, lambda: agreement.of_project(project), 3600))


def newest_reward_report(project: Project) -> tuple[Model, dict[str, Any]] | None:
    """The newest reward model with the report of its run."""
    models = Model.objects.filter(project=project, kind=Model.Kind.REWARD, run__isnull=False)
    model = models.select_related("run").first()
    return (model, model.run.result.get("report", {})) if model and model.run else None


def suggest(project: Project) -> Suggestion:
    """The first of these that is true of the project, in the order of the loop."""
    round = newest_round(project)
    if round and round.state not in (Round.State.DONE, Round.State.CANCELLED):
        return _about_round(round)
    if not Prompt.objects.filter(project=project).exists():
        return Suggestion("There are no prompts yet. Everything begins with them.", "Bring in prompts", "prompts")
    policy = Model.objects.filter(project=project, is_current=True).first()
    if not Response.objects.filter(prompt__project=project).exists():
        return _about_responses(project, policy)
    num_open = Slot.objects.filter(project=project, state=Slot.State.OPEN).count()
    num_new = num_unfrozen_rankings(project)
    if num_open and num_new < max(1, num_open):
        return Suggestion(f"{num_open:,} judgements are still wanted.", "Rank the next one", "work")
    if num_new and (policy or _has_demonstrations(project)):
        return Suggestion(f"{num_new:,} new rankings wait to be learned from.", "Run the whole loop", starts_round=True)
    if not num_open and not num_new:
        return Suggestion("All that was asked is answered. Make new ranking tasks.", "Make tasks", "tasks")
    return Suggestion(
        "There are rankings, and no demonstrations to train a first policy on.", "See the prompts", "prompts"
    )


def _about_round(round: Round) -> Suggestion:
    step = round.get_step_display()
    text, verb = {
        Round.State.FAILED: (f"{round} could not go on: {round.error}", "See what happened"),
        Round.State.WAITING: (f"{round} waits for you: {step}.", "Go to the round"),
        Round.State.RUNNING: (f"{round} is under way: {step}.", "Watch it"),
    }[Round.State(round.state)]
    return Suggestion(text, verb, "round", (round.uid,))


def _about_responses(project: Project, policy: Model | None) -> Suggestion:
    if policy:
        return Suggestion(
            "No prompt has a response yet. Let the policy answer them.",
            "Sample responses",
            "run_new_stage",
            ("generate",),
        )
    if _has_demonstrations(project):
        return Suggestion(
            "There is no policy yet. Train one on the demonstrations.", "Train SFT", "run_new_stage", ("sft",)
        )
    return Suggestion(
        "No prompt has a response yet. Import rankings, or write demonstrations.", "See the prompts", "prompts"
    )


def _has_demonstrations(project: Project) -> bool:
    return Demonstration.objects.counted().filter(prompt__project=project).exists()
