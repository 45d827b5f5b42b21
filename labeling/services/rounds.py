"""One turn of the whole loop: freeze the data, train, promote, sample, and ask people again.

`advance` looks at one round and does what can be done now. Anybody may call it at any time, as often as they like:
the round's row is locked while its next thing is made, and what exists already is never made twice.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.db.models.functions import Now

from labeling.models import (
    HELD_OUT,
    MAX_RESPONSES_FOR_PEOPLE,
    MIN_RESPONSES,
    Demonstration,
    Model,
    Project,
    Prompt,
    Ranking,
    Round,
    Run,
    Snapshot,
    Stage,
    User,
)
from labeling.services import evaluations, registry, runs, snapshots, tasks
from training.contract import configs
from training.contract.configs import ConfigError

logger = logging.getLogger(__name__)
T = TypeVar("T")
State = Round.State
ORDER: Final = list(Round.Step)
ALARM: Final = (
    "PPO's over-optimisation alarm rang: the reward rose while something else fell. Read a few answers and the run's"
    " curves first. Go on, and the new policy answers; cancel, and the one before stays."
)
KL_BUDGET: Final = next(spec for spec in configs.specs(configs.STAGES[Stage.PPO]) if spec.name == "kl_budget")
SNAPSHOTS: Final = {"sft_snapshot": "sft", "reward_snapshot": "reward", "prompts_snapshot": "prompts"}


class RoundError(ValueError):
    """A round that cannot be started or changed; the text says why."""


class StepFailed(Exception):  # noqa: N818 - an outcome
    """The round cannot go on by itself."""


def start(
    *,
    project: Project,
    user: User,
    preset: str,
    responses_per_prompt: int = 4,
    is_automatic: bool = True,
    num_evaluation_prompts: int = 0,
    kl_budget: float | None = None,
) -> Round:
    """Begin the next round. What it will need is checked now, not when it gets there."""
    policy = Model.objects.filter(project=project, is_current=True).first()
    _check(project=project, policy=policy, preset=preset, responses_per_prompt=responses_per_prompt)
    _check_held_out(project, num_evaluation_prompts)
    _check_kl_budget(kl_budget)
    number = (Round.objects.filter(project=project).aggregate(last=Max("number"))["last"] or 0) + 1
    try:
        with transaction.atomic():
            started = Round.objects.create(
                project=project,
                number=number,
                preset=preset,
                responses_per_prompt=responses_per_prompt,
                is_automatic=is_automatic,
                num_evaluation_prompts=num_evaluation_prompts,
                kl_budget=kl_budget,
                created_by=user,
                policy_before=policy,
            )
    except IntegrityError:
        raise RoundError("A round of this project is under way already.") from None
    advance(started.pk)
    started.refresh_from_db()
    return started


def advance(round_id: int) -> None:
    """Take a running round as far as it goes now."""
    while _advance_once(round_id):
        continue


def advance_all() -> None:
    """One round's trouble is logged and does not hold up the others."""
    for round_id in Round.objects.filter(state=State.RUNNING).values_list("pk", flat=True):
        try:
            advance(round_id)
        except Exception:
            logger.exception("round %s could not be advanced", round_id)


def proceed(round: Round) -> None:
    """The person says go on."""
    _change(round, at=State.WAITING, state=State.RUNNING, error="")
    advance(round.pk)


def retry(round: Round, *, user: User | None) -> None:
    """Try the step again that failed: its run goes on from its last checkpoint."""
    try:
        with transaction.atomic():
            _change(round, at=State.FAILED, state=State.RUNNING, error="", finished_at=None)
            _resume_what_failed(round, user=user)
    except IntegrityError:
        raise RoundError("Another round of this project is under way.") from None
    except (runs.RunError, snapshots.SnapshotError) as error:
        raise RoundError(str(error)) from None
    advance(round.pk)


def cancel(round: Round, *, user: User) -> None:
    """Stop the round and its run. What is made already stays."""
    with transaction.atomic():
        at = State.WAITING if round.state == State.WAITING else State.RUNNING
        _change(round, at=at, state=State.CANCELLED, finished_at=Now())
        run = current_run(round)
        if run and run.state in (Run.State.QUEUED, Run.State.RUNNING):
            try:
                runs.cancel(run, user=user)
            except runs.RunError as error:
                raise RoundError(str(error)) from None


def current_run(round: Round) -> Run | None:
    """The run of the step that the round stands at."""
    return getattr(round, f"{round.step}_run", None)


def _advance_once(round_id: int) -> bool:
    """True when a step was completed, so that the next may begin at once."""
    with transaction.atomic():
        locked = Round.objects.select_for_update(skip_locked=True).filter(pk=round_id, state=State.RUNNING).first()
        if locked is None:
            return False
        try:
            with transaction.atomic():
                is_done = _STEPS[Round.Step(locked.step)](locked)
        except (StepFailed, ConfigError, snapshots.SnapshotError, registry.RegistryError, tasks.TaskError) as error:
            _set(locked, state=State.FAILED, error=str(error), finished_at=Now())
            return False
        if is_done:
            _go_to_next(locked)
        return is_done


def _go_to_next(round: Round) -> None:
    if round.step == ORDER[-1]:
        _set(round, state=State.DONE, finished_at=Now())
        if round.num_evaluation_prompts:
            _compare_with_before(round)
        return
    following = ORDER[ORDER.index(Round.Step(round.step)) + 1]
    why = _why_to_look(round) if round.step == Round.Step.PPO else ""
    goes_on = round.is_automatic and not why
    _set(round, step=following, state=State.RUNNING if goes_on else State.WAITING, error=why)


def _compare_with_before(round: Round) -> None:
    """The round itself is done: what keeps people from comparing is said, and stops nothing."""
    policy = _model_of(round.ppo_run)
    before = round.policy_before or _sft_model(round)
    sampled = _made(round.generate_run).config
    wish = evaluations.Wish(
        project=round.project,
        name=f"Round {round.number}: {policy.name} over {before.name}"[:120],
        models=[policy, before],
        baseline=before,
        num_prompts=round.num_evaluation_prompts,
        num_wanted=round.project.overlap,
        seed=round.number,
        preset=round.preset,
        sampling={name: sampled[name] for name in evaluations.SETTINGS},
    )
    try:
        evaluations.start(wish, user=round.created_by, round=round)
    except evaluations.EvaluationError as error:
        _set(round, error=f"{round.error} No comparison with {before.name} was begun: {error}".strip())


def _why_to_look(round: Round) -> str:
    """What a person should see before people are asked to rank what the new policy says."""
    summary = _made(round.ppo_run).result.get("summary") or {}
    return ALARM if summary.get("over_optimisation_alarm") else ""


def _freeze(round: Round) -> bool:
    for field, kind in SNAPSHOTS.items():
        if getattr(round, field) is None and (kind != "sft" or _has_demonstrations(round.project)):
            name = f"Round {round.number} {kind}"
            made = snapshots.create(project=round.project, kind=kind, name=name, filters={}, user=round.created_by)
            _set(round, **{field: made})
    made_ones = [snapshot for field in SNAPSHOTS if (snapshot := getattr(round, field))]
    for snapshot in made_ones:
        if snapshot.state == Snapshot.State.FAILED:
            raise StepFailed(f"Snapshot “{snapshot.name}” could not be made: {snapshot.error}")
    return all(snapshot.resolved.state == Snapshot.State.READY for snapshot in made_ones)


def _train_sft(round: Round) -> bool:
    if round.sft_snapshot is None or _has_learned(round.policy_before, round.sft_snapshot):
        return True  # nothing to learn from, or nothing new; the policy of the last round stands in
    inputs: dict[str, runs.Input] = {"dataset": round.sft_snapshot}
    if round.policy_before:
        inputs["init_model"] = round.policy_before
    return _run(round, Stage.SFT, inputs)


def _train_reward(round: Round) -> bool:
    inputs: dict[str, runs.Input] = {"init_model": _sft_model(round), "dataset": _made(round.reward_snapshot)}
    if round.sft_snapshot:
        inputs["demonstrations"] = round.sft_snapshot
    return _run(round, Stage.REWARD, inputs)


def _train_ppo(round: Round) -> bool:
    inputs: dict[str, runs.Input] = {
        "policy_model": _sft_model(round),
        "reward_model": _model_of(round.reward_run),
        "prompts": _made(round.prompts_snapshot),
    }
    if _wants_text(round.preset):
        inputs["pretraining_text"] = _made(_newest_text(round.project))
    return _run(round, Stage.PPO, inputs, **own_ppo_options(round))


def own_ppo_options(round: Round) -> dict[str, Any]:
    """What the round's PPO has otherwise than its preset."""
    return {} if round.kl_budget is None else {"kl_budget": round.kl_budget}


def _generate(round: Round) -> bool:
    if round.generate_run is None:
        registry.promote(_model_of(round.ppo_run))
    inputs: dict[str, runs.Input] = {"model": _model_of(round.ppo_run), "prompts": _made(round.prompts_snapshot)}
    return _run(round, Stage.GENERATE, inputs, num_responses=round.responses_per_prompt)


def _make_tasks(round: Round) -> bool:
    counts = tasks.make_ranking_tasks(
        project=round.project,
        prompts=Prompt.objects.filter(responses__run=round.generate_run).distinct().order_by("pk"),
        num_responses=round.responses_per_prompt,
        num_wanted=round.project.overlap,
        round=round,
        model=_model_of(round.ppo_run),
        user=_made(round.created_by),
    )
    _set(round, num_tasks=counts.num_made, error=_left_out(counts.by_reason))
    return True


_STEPS: Final[dict[Round.Step, Callable[[Round], bool]]] = {
    Round.Step.SNAPSHOTS: _freeze,
    Round.Step.SFT: _train_sft,
    Round.Step.REWARD: _train_reward,
    Round.Step.PPO: _train_ppo,
    Round.Step.GENERATE: _generate,
    Round.Step.TASKS: _make_tasks,
}


def _run(round: Round, stage: Stage, inputs: Mapping[str, runs.Input], **changes: Any) -> bool:
    """Make the step's run, or look at it. True when it has succeeded."""
    run: Run | None = getattr(round, f"{stage}_run")
    if run is None:
        run = runs.create(
            project=round.project,
            stage=stage,
            config=_without(configs.preset(stage, round.preset), inputs) | changes,
            inputs=inputs,
            preset=round.preset,
            name=f"round-{round.number}-{stage}",
            user=round.created_by,
            round=round,
            idempotency_key=f"round-{round.pk}-{stage}",
        )
        _set(round, **{f"{stage}_run": run})
    if run.state in (Run.State.FAILED, Run.State.CANCELLED):
        raise StepFailed(
            f"{run.name} was cancelled." if run.state == Run.State.CANCELLED else f"{run.name}: {run.error}"
        )
    return run.state == Run.State.SUCCEEDED


def _check(*, project: Project, policy: Model | None, preset: str, responses_per_prompt: int) -> None:
    if preset not in configs.PRESETS:
        raise RoundError(f"There is no preset {preset}.")
    if not MIN_RESPONSES <= responses_per_prompt <= MAX_RESPONSES_FOR_PEOPLE:
        raise RoundError(f"Responses per prompt must be {MIN_RESPONSES} to {MAX_RESPONSES_FOR_PEOPLE}.")
    if not Ranking.objects.trainable().filter(task__project=project, outcome="ranked").exists():
        raise RoundError("There are no rankings yet: the reward model needs some.")
    if policy is None and not _has_demonstrations(project):
        raise RoundError("There is no policy yet and no demonstrations to train one on. Import or write some.")
    if policy is None and not configs.preset(Stage.SFT, preset).get("init_model"):
        raise RoundError(f"Preset {preset} starts from a model: train one by an SFT run first, which names its start.")
    if _wants_text(preset) and _newest_text(project) is None:
        raise RoundError(f"Preset {preset} mixes pretraining text into PPO: make a snapshot of text first.")


def _check_held_out(project: Project, num_wanted: int) -> None:
    if num_wanted and not Prompt.objects.filter(project=project, split__in=HELD_OUT).in_use().exists():
        raise RoundError("There is no held-out prompt on which people could compare the policies.")


def _check_kl_budget(value: float | None) -> None:
    if value is None:
        return
    try:
        configs.check_options(Stage.PPO, {"kl_budget": value})
    except ConfigError as error:
        raise RoundError(str(error)) from None


def _resume_what_failed(round: Round, *, user: User | None) -> None:
    run = current_run(round)
    if run and run.state in (Run.State.FAILED, Run.State.CANCELLED):
        runs.resume(run, user=user)
    if round.step == Round.Step.SNAPSHOTS:
        for snapshot in filter(None, (getattr(round, field) for field in SNAPSHOTS)):
            if snapshot.state == Snapshot.State.FAILED:
                snapshots.retry(snapshot)


def _change(round: Round, *, at: str, **changes: Any) -> None:
    """Compare and set."""
    if Round.objects.filter(pk=round.pk, state=at).update(**changes) != 1:
        raise RoundError("The round has changed meanwhile; look again.")
    round.refresh_from_db()


def _set(round: Round, **changes: Any) -> None:
    """For the holder of the row's lock."""
    Round.objects.filter(pk=round.pk).update(**changes)
    round.refresh_from_db()


def _has_learned(policy: Model | None, demonstrations: Snapshot) -> bool:
    """Whether it, or a model it descends from, learned from these very demonstrations. Once more would take back some
    of what its rewards taught it since."""
    while policy:
        if policy.run and policy.run.stage == Stage.SFT:
            read = policy.run.inputs.filter(name="dataset").select_related("snapshot__same_as")
            if any(item.snapshot and item.snapshot.resolved == demonstrations.resolved for item in read):
                return True
        policy = policy.parent
    return False


def _sft_model(round: Round) -> Model:
    return _model_of(round.sft_run) if round.sft_run else _made(round.policy_before)


def _model_of(run: Run | None) -> Model:
    return Model.objects.get(run=_made(run))


def _made(thing: T | None) -> T:
    if thing is None:
        raise StepFailed("An earlier step of this round left nothing to go on with.")
    return thing


def _has_demonstrations(project: Project) -> bool:
    return Demonstration.objects.counted().filter(prompt__project=project).exists()


def _wants_text(preset: str) -> bool:
    return bool(configs.preset(Stage.PPO, preset)["ptx_coef"])


def _newest_text(project: Project) -> Snapshot | None:
    return Snapshot.objects.filter(project=project, kind=Snapshot.Kind.TEXT, state=Snapshot.State.READY).first()


def _without(values: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _left_out(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return ""
    return "No task was made for some prompts: " + "; ".join(f"{reason} ({count})" for reason, count in reasons.items())
