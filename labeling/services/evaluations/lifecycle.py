"""An evaluation from prompts drawn by lot to judgements that are all in.

`advance` looks at one evaluation and does what can be done now. Anybody may call it at any time, as often as they like:
the row is locked while its next thing is made, and what exists already is never made twice.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import F, Max, QuerySet
from django.db.models.functions import Now

from labeling.models import (
    MAX_JUDGEMENTS,
    Evaluation,
    EvaluationModel,
    EvaluationPrompt,
    EvaluationRun,
    Prompt,
    Round,
    Run,
    Slot,
    Snapshot,
    Stage,
    Task,
    User,
)
from labeling.services import runs, snapshots, tasks
from labeling.services.evaluations import items, wishes
from labeling.services.evaluations.wishes import EvaluationError, Wish
from training.contract.configs import ConfigError

logger = logging.getLogger(__name__)
State, Step = Evaluation.State, Evaluation.Step
ORDER: Final = list(Step)
CHANGED: Final = "The evaluation has changed meanwhile; look again."


class StepFailed(Exception):  # noqa: N818 - an outcome
    """The evaluation cannot go on by itself."""


def start(wish: Wish, *, user: User | None, round: Round | None = None) -> Evaluation:
    """Begin. What it will need is checked now, not when it gets there. Raises EvaluationError."""
    if not wishes.cost(wish).num_prompts:
        raise EvaluationError("There is no held-out prompt that all these models can answer.")
    try:
        with transaction.atomic():
            started = _create(wish, user=user, round=round)
    except IntegrityError:
        raise EvaluationError("There is an evaluation of this name already.") from None
    advance(started.pk)
    started.refresh_from_db()
    return started


def advance(evaluation_id: int) -> None:
    """Take a running evaluation as far as it goes now."""
    while _advance_once(evaluation_id):
        continue


def advance_all() -> None:
    """One evaluation's trouble is logged and does not hold up the others."""
    for evaluation_id in Evaluation.objects.filter(state=State.RUNNING).values_list("pk", flat=True):
        try:
            advance(evaluation_id)
        except Exception:
            logger.exception("evaluation %s could not be advanced", evaluation_id)


def retry(evaluation: Evaluation, *, user: User) -> None:
    """Try the step again that failed: its runs go on from their last checkpoint."""
    try:
        with transaction.atomic():
            _change(evaluation, at=[State.FAILED], state=State.RUNNING, error="", finished_at=None)
            if evaluation.snapshot and evaluation.snapshot.state == Snapshot.State.FAILED:
                snapshots.retry(evaluation.snapshot)
            for run in runs_of_wave(evaluation):
                if run.state in (Run.State.FAILED, Run.State.CANCELLED):
                    runs.resume(run, user=user)
    except (runs.RunError, snapshots.SnapshotError) as error:
        raise EvaluationError(str(error)) from None
    advance(evaluation.pk)


@transaction.atomic
def cancel(evaluation: Evaluation, *, user: User) -> None:
    """Ask nobody any more: runs stop, open places go. What is held may be finished, and what is judged stays."""
    _change(evaluation, at=[State.RUNNING, State.FAILED], state=State.CANCELLED, finished_at=Now())
    for run in runs_of_wave(evaluation):
        if run.state in (Run.State.QUEUED, Run.State.RUNNING):
            try:
                runs.cancel(run, user=user)
            except runs.RunError as error:
                raise EvaluationError(str(error)) from None
    ids = _lock_tasks(evaluation)
    Task.objects.filter(pk__in=ids).update(state=Task.State.CLOSED)
    tasks.fit_slots(ids)


def more_prompts(evaluation: Evaluation, *, num: int, seen: str) -> int:
    """Draw so many further held-out prompts, as far as there are any. How many. `seen`: `asked`, as the form had it."""
    num = min(num, num_left(evaluation))
    if num < 1:
        raise EvaluationError("There is no further held-out prompt. Ask for more judgements per task instead.")
    with transaction.atomic():
        _change_when_judged(
            evaluation,
            seen,
            step=Step.PROMPTS,
            wave=F("wave") + 1,
            num_prompts=evaluation.prompts.count() + num,
            snapshot=None,
        )
    advance(evaluation.pk)
    return num


def more_judgements(evaluation: Evaluation, *, num: int, seen: str) -> None:
    """Want so many more people's judgement on each task."""
    if num < 1 or evaluation.num_wanted + num > MAX_JUDGEMENTS:
        raise EvaluationError(f"A task takes 1 to {MAX_JUDGEMENTS} judgements.")
    with transaction.atomic():
        _change_when_judged(evaluation, seen, num_wanted=F("num_wanted") + num)
        ids = _lock_tasks(evaluation)
        Task.objects.filter(pk__in=ids).update(num_wanted=F("num_wanted") + num)
        tasks.fit_slots(ids)
    advance(evaluation.pk)


def num_left(evaluation: Evaluation) -> int:
    """Held-out prompts that could still be drawn."""
    return _undrawn(evaluation).count()


def runs_of_wave(evaluation: Evaluation) -> list[Run]:
    made = EvaluationRun.objects.filter(entrant__evaluation=evaluation, wave=evaluation.wave)
    return [item.run for item in made.select_related("run")]


def _create(wish: Wish, *, user: User | None, round: Round | None) -> Evaluation:
    started = Evaluation.objects.create(
        project=wish.project,
        name=wish.name.strip() or unused_name(wish),
        kind=wish.kind,
        splits=list(wish.splits),
        num_prompts=wish.num_prompts,
        num_wanted=wish.num_wanted,
        priority=wish.priority,
        rate_first=wish.rate_first,
        seed=wish.seed,
        preset=wish.preset,
        round=round,
        created_by=user,
        **wish.sampling,
    )
    EvaluationModel.objects.bulk_create(
        EvaluationModel(evaluation=started, model=model, position=position, is_baseline=model == wish.baseline)
        for position, model in enumerate(wish.models)
    )
    return started


def unused_name(wish: Wish) -> str:
    """“Evaluation 3”: numbered per project."""
    taken = set(Evaluation.objects.filter(project=wish.project).values_list("name", flat=True))
    return next(name for number in range(1, len(taken) + 2) if (name := f"Evaluation {number}") not in taken)


def _advance_once(evaluation_id: int) -> bool:
    """True when a step was completed, so that the next may begin at once."""
    with transaction.atomic():
        waiting = Evaluation.objects.select_for_update(skip_locked=True)
        locked = waiting.filter(pk=evaluation_id, state=State.RUNNING).first()
        if locked is None:
            return False
        try:
            with transaction.atomic():
                is_done = _STEPS[Step(locked.step)](locked)
        except (StepFailed, ConfigError, snapshots.SnapshotError) as error:
            _set(locked, state=State.FAILED, error=str(error), finished_at=Now())
            return False
        if is_done:
            _go_to_next(locked)
        return is_done


def _go_to_next(evaluation: Evaluation) -> None:
    if evaluation.step == ORDER[-1]:
        _set(evaluation, state=State.DONE, finished_at=Now())
    else:
        _set(evaluation, step=ORDER[ORDER.index(Step(evaluation.step)) + 1])


def _draw(evaluation: Evaluation) -> bool:
    """Fewer than wanted where there are no more: the page says how many."""
    last = evaluation.prompts.aggregate(last=Max("number"))["last"] or 0
    seed = evaluation.seed + evaluation.wave - 1
    drawn = wishes.draw(_undrawn(evaluation), num=evaluation.num_prompts - last, seed=seed)
    if not drawn:
        raise StepFailed("No held-out prompt is left that all these models can answer.")
    EvaluationPrompt.objects.bulk_create(
        EvaluationPrompt(evaluation=evaluation, prompt_id=prompt, wave=evaluation.wave, number=number)
        for number, prompt in enumerate(drawn, start=last + 1)
    )
    return True


def _undrawn(evaluation: Evaluation) -> QuerySet[Prompt]:
    models = [entrant.model for entrant in evaluation.entrants.select_related("model")]
    found = wishes.pool(project=evaluation.project, models=models, splits=evaluation.splits)
    return found.exclude(pk__in=evaluation.prompts.values("prompt"))


def _generate(evaluation: Evaluation) -> bool:
    """Every model that lacks responses to the wave's prompts gets one run; True when all have succeeded."""
    made = EvaluationRun.objects.filter(entrant__evaluation=evaluation, wave=evaluation.wave).select_related("run")
    run_of = {item.entrant_id: item.run for item in made}
    prompts = list(items.of_wave(evaluation).values_list("prompt", flat=True))
    sampling = wishes.settings_of(evaluation)
    to_ask = [
        entrant
        for entrant in evaluation.entrants.select_related("model")
        if entrant.pk in run_of or wishes.lacks(entrant.model, prompts, sampling=sampling)
    ]
    if not to_ask:
        return True
    frozen = _frozen(evaluation)
    if frozen is None:
        return False
    return _all_succeeded([run_of.get(entrant.pk) or _ask(evaluation, entrant, frozen) for entrant in to_ask])


def _frozen(evaluation: Evaluation) -> Snapshot | None:
    """The wave's prompts as a snapshot, once it is there."""
    if evaluation.snapshot is None:
        filters = {"evaluation": str(evaluation.uid), "wave": evaluation.wave}
        name = f"{evaluation.name[:90]} prompts"
        made = snapshots.create(
            project=evaluation.project,
            kind=Snapshot.Kind.PROMPTS,
            name=name,
            filters=filters,
            user=evaluation.created_by,
        )
        _set(evaluation, snapshot=made)
    snapshot = evaluation.snapshot
    assert snapshot is not None  # noqa: S101 - made above
    if snapshot.state == Snapshot.State.FAILED:
        raise StepFailed(f"Snapshot “{snapshot.name}” could not be made: {snapshot.error}")
    return snapshot if snapshot.resolved.state == Snapshot.State.READY else None


def _ask(evaluation: Evaluation, entrant: EvaluationModel, frozen: Snapshot) -> Run:
    run = runs.create(
        project=evaluation.project,
        stage=Stage.GENERATE,
        config=wishes.sampling_config(evaluation),
        inputs={"model": entrant.model, "prompts": frozen},
        preset=evaluation.preset,
        name=f"evaluation-{evaluation.pk}-{entrant.position + 1}-{evaluation.wave}",
        user=evaluation.created_by,
        idempotency_key=f"evaluation-{entrant.pk}-{evaluation.wave}",
    )
    EvaluationRun.objects.create(entrant=entrant, wave=evaluation.wave, run=run)
    return run


def _all_succeeded(made: Sequence[Run]) -> bool:
    for run in made:
        if run.state == Run.State.CANCELLED:
            raise StepFailed(f"{run.name} was cancelled.")
        if run.state == Run.State.FAILED:
            raise StepFailed(f"{run.name}: {run.error}")
    return all(run.state == Run.State.SUCCEEDED for run in made)


def _make_tasks(evaluation: Evaluation) -> bool:
    items.make(evaluation)
    return True


def _judged(evaluation: Evaluation) -> bool:
    """Whether nothing is wanted of people any more."""
    return not Slot.objects.filter(task__evaluation=evaluation).exclude(state=Slot.State.DONE).exists()


_STEPS: Final[dict[Evaluation.Step, Callable[[Evaluation], bool]]] = {
    Step.PROMPTS: _draw,
    Step.GENERATE: _generate,
    Step.TASKS: _make_tasks,
    Step.JUDGE: _judged,
}


def _lock_tasks(evaluation: Evaluation) -> list[int]:
    """In one order, so that two who do this at once wait for each other."""
    open_ones = Task.objects.select_for_update(no_key=True).filter(evaluation=evaluation, state=Task.State.OPEN)
    return list(open_ones.order_by("pk").values_list("pk", flat=True))


def _change_when_judged(evaluation: Evaluation, seen: str, **changes: object) -> None:
    """While people judge, or when they are through."""
    if evaluation.step != Step.JUDGE:
        raise EvaluationError("Wait until its tasks are made.")
    if evaluation.asked != seen:
        raise EvaluationError(CHANGED)
    as_seen = {"step": Step.JUDGE, "wave": evaluation.wave, "num_wanted": evaluation.num_wanted}
    again = {"state": State.RUNNING, "error": "", "finished_at": None}
    _change(evaluation, at=[State.RUNNING, State.DONE], expected=as_seen, **again, **changes)


def _change(
    evaluation: Evaluation, *, at: Sequence[str], expected: Mapping[str, object] | None = None, **changes: object
) -> None:
    """Compare and set."""
    found = Evaluation.objects.filter(pk=evaluation.pk, state__in=at, **(expected or {}))
    if found.update(**changes) != 1:
        raise EvaluationError(CHANGED)
    evaluation.refresh_from_db()


def _set(evaluation: Evaluation, **changes: object) -> None:
    """For the holder of the row's lock."""
    Evaluation.objects.filter(pk=evaluation.pk).update(**changes)
    evaluation.refresh_from_db()
