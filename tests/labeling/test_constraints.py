"""Each rule of the house is the database's: these go round forms and services and try to break it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from labeling.models import (
    Demonstration,
    DemonstrationGrade,
    Draft,
    Evaluation,
    EvaluationFile,
    EvaluationItem,
    EvaluationModel,
    EvaluationPrompt,
    EvaluationRun,
    Guideline,
    GuidelineReading,
    ImportBatch,
    ImportRefusal,
    Invitation,
    Membership,
    Model,
    ModelEvent,
    Prompt,
    PromptAnnotation,
    PromptBrief,
    PromptLook,
    Qualification,
    QualificationSet,
    Ranking,
    Reference,
    Response,
    ResponseScore,
    Review,
    Round,
    Run,
    RunEvent,
    RunFile,
    RunInput,
    Skip,
    Slot,
    Snapshot,
    SnapshotDemonstration,
    SnapshotRanking,
    SurveyAnswer,
    SurveyRelease,
    Task,
    TaskResponse,
    User,
    Withdrawal,
    WrittenPrompt,
)
from tests.labeling import playground_rules

SOON = timezone.now() + timedelta(minutes=15)


@pytest.fixture
def floor(people: Any, make_prompt: Any) -> Any:
    """A task with three responses, one slot done by Lena and one open."""
    people.prompt = make_prompt("Why?", k=3)
    people.responses = list(people.prompt.responses.order_by("sample_index"))
    people.task = Task.objects.create(
        project=people.project, kind="rank", prompt=people.prompt, num_responses=3, num_wanted=2
    )
    for position, response in enumerate(people.responses):
        TaskResponse.objects.create(task=people.task, response=response, position=position)
    people.done = slot(people, number=0, state="done", holder=people.labeler, done_at=timezone.now())
    people.open = slot(people, number=1)
    people.ranking = ranking(people, slot=people.done)
    return people


def slot(world: Any, **fields: Any) -> Slot:
    fields.setdefault("number", 7)
    return Slot.objects.create(**({"task": world.task, "project": world.project, "kind": "rank"} | fields))


def known_answer(world: Any, **fields: Any) -> Task:
    defaults = {"project": world.project, "kind": "rank", "prompt": world.prompt, "num_responses": 3}
    return Task.objects.create(**(defaults | {"purpose": "gold"} | fields))


def ranking(world: Any, **fields: Any) -> Ranking:
    defaults = {
        "task": world.task,
        "labeler": world.labeler,
        "idempotency_key": f"key-{Ranking.objects.count()}",
        "displayed": [2, 0, 1],
        "ranks": [1, 2, 2],
    }
    return Ranking.objects.create(**(defaults | fields))


def run(world: Any, **fields: Any) -> Run:
    defaults = {
        "project": world.project,
        "stage": "reward",
        "name": "r",
        "idempotency_key": f"run-{Run.objects.count()}",
    }
    return Run.objects.create(**(defaults | fields))


def snapshot(world: Any, **fields: Any) -> Snapshot:
    defaults = {"project": world.project, "name": f"s{Snapshot.objects.count()}", "kind": "reward"}
    return Snapshot.objects.create(**(defaults | fields))


def ready(world: Any, **fields: Any) -> Snapshot:
    return snapshot(world, **({"state": "ready", "sha256": "a" * 64, "finished_at": timezone.now()} | fields))


def a_round(world: Any, **fields: Any) -> Round:
    return Round.objects.create(**({"project": world.project, "number": 1 + Round.objects.count()} | fields))


def a_model(world: Any, **fields: Any) -> Model:
    defaults = {
        "project": world.project,
        "name": f"m{Model.objects.count()}",
        "kind": "policy",
        "storage_key": "models/x",
    }
    return Model.objects.create(**(defaults | fields))


def a_score(world: Any, **fields: Any) -> ResponseScore:
    judge = Model.objects.filter(project=world.project, kind="reward").first() or a_model(world, kind="reward")
    return ResponseScore.objects.create(response=world.responses[0], model=judge, run=run(world), **fields)


def prompt(world: Any, **fields: Any) -> Prompt:
    defaults = {
        "project": world.project,
        "messages": [{"role": "user", "content": "x"}],
        "content_hash": "b" * 64,
        "text": "x",
        "num_chars": 1,
        "split": "train",
    }
    return Prompt.objects.create(**(defaults | fields))


def response(world: Any, **fields: Any) -> Response:
    defaults = {
        "prompt": world.prompt,
        "model": world.responses[0].model,
        "sample_index": 9,
        "text": "x",
        "num_chars": 1,
    }
    return Response.objects.create(**(defaults | fields))


def batch(world: Any, **fields: Any) -> ImportBatch:
    return ImportBatch.objects.create(
        **({"project": world.project, "kind": "prompts", "filename": "f", "file_sha256": "c" * 64} | fields)
    )


def invitation(world: Any, **fields: Any) -> Invitation:
    defaults = {"project": world.project, "role": "labeler", "token_hash": "d" * 64, "invited_by": world.manager}
    return Invitation.objects.create(**(defaults | {"expires_at": SOON} | fields))


def demonstration(world: Any, **fields: Any) -> Demonstration:
    defaults = {
        "prompt": world.prompt,
        "labeler": world.labeler2,
        "idempotency_key": f"d{Demonstration.objects.count()}",
    }
    return Demonstration.objects.create(**(defaults | {"text": "An answer."} | fields))


def released(world: Any, **fields: Any) -> SurveyRelease:
    defaults = {"project": world.project, "kind": "satisfaction", "question": "clear", "counts": {}, "counted": []}
    return SurveyRelease.objects.create(**(defaults | {"num_people": 5} | fields))


def refusal_twice(world: Any) -> None:
    of = batch(world)
    for _ in range(2):
        ImportRefusal.objects.create(batch=of, line=1, reason="empty")


def input_of_two_things(world: Any) -> None:
    RunInput.objects.create(run=run(world), name="dataset", snapshot=ready(world), model=a_model(world))


def input_of_a_snapshot_and_an_upload(world: Any) -> None:
    RunInput.objects.create(run=run(world), name="dataset", snapshot=ready(world), upload="uploads/1")


def input_of_an_upload_and_a_folder(world: Any) -> None:
    RunInput.objects.create(run=run(world), name="dataset", folder="small", upload="uploads/1")


def input_of_nothing(world: Any) -> None:
    RunInput.objects.create(run=run(world), name="dataset")


def model_event_changes(world: Any) -> None:
    event = ModelEvent.objects.create(model=a_model(world), action="promoted", actor="me")
    ModelEvent.objects.filter(pk=event.pk).update(actor="you")


def model_event_of_no_kind(world: Any) -> None:
    ModelEvent.objects.create(model=a_model(world), action="sold", actor="me")


def input_twice(world: Any) -> None:
    of, data = run(world), ready(world)
    for _ in range(2):
        RunInput.objects.create(run=of, name="dataset", snapshot=data)


def two(make: Callable[..., Any], world: Any, **fields: Any) -> None:
    for _ in range(2):
        make(world, **fields)


def fence_shrinks(world: Any) -> None:
    Run.objects.filter(pk=run(world, fence=5).pk).update(fence=4)


def ended_run_changes(world: Any) -> None:
    of = run(world, state="succeeded", finished_at=timezone.now())
    Run.objects.filter(pk=of.pk).update(state="cancelled")


def frozen_changes(world: Any) -> None:
    Snapshot.objects.filter(pk=ready(world).pk).update(sha256="f" * 64)


def guideline_changes(world: Any) -> None:
    Guideline.objects.filter(project=world.project).update(text="Be cruel.")


def event_changes(world: Any) -> None:
    event = RunEvent.objects.create(run=run(world), to_state="queued", actor="x")
    RunEvent.objects.filter(pk=event.pk).update(to_state="failed")


def demonstration_changes(world: Any) -> None:
    Demonstration.objects.filter(pk=demonstration(world).pk).update(text="Another")


def same_ranking_twice_in_a_snapshot(world: Any) -> None:
    of = snapshot(world)
    for _ in range(2):
        SnapshotRanking.objects.create(snapshot=of, ranking=world.ranking)


def same_demonstration_twice_in_a_snapshot(world: Any) -> None:
    of, answer = snapshot(world, kind="sft"), demonstration(world)
    for _ in range(2):
        SnapshotDemonstration.objects.create(snapshot=of, demonstration=answer)


def brief(world: Any, **fields: Any) -> PromptBrief:
    return PromptBrief.objects.create(**({"project": world.project, "style": "plain"} | fields))


def written(world: Any, **fields: Any) -> WrittenPrompt:
    """Somebody's prompt, in a task of its own unless told otherwise."""
    if "task" not in fields:
        fields["task"] = Task.objects.create(project=world.project, kind="write_prompt", brief=brief(world))
    num = WrittenPrompt.objects.count()
    own = prompt(world, content_hash=f"{num:064x}")
    defaults = {"labeler": world.labeler, "idempotency_key": f"w{num}", "prompt": own, "instruction": "Write."}
    return WrittenPrompt.objects.create(**(defaults | fields))


def annotation(world: Any, **fields: Any) -> PromptAnnotation:
    if "task" not in fields:
        fields["task"] = Task.objects.create(project=world.project, kind="annotate", prompt=world.prompt)
    num = PromptAnnotation.objects.count()
    defaults = {"labeler": world.labeler, "idempotency_key": f"a{num}", "prompt": world.prompt}
    return PromptAnnotation.objects.create(**(defaults | {"asked": ["Ambiguous"], "labels": ["Ambiguous"]} | fields))


def in_one_slot(make: Callable[..., Any], world: Any) -> None:
    first = make(world, slot=world.open)
    make(world, slot=world.open, task=first.task, labeler=world.labeler2)


def twice_by_one(make: Callable[..., Any], world: Any) -> None:
    make(world, task=make(world).task)


def changed(made: Any, **fields: Any) -> None:
    type(made).objects.filter(pk=made.pk).update(**fields)


def qualification_set(world: Any, **fields: Any) -> QualificationSet:
    num = QualificationSet.objects.count()
    return QualificationSet.objects.create(**({"project": world.project, "kind": "rank", "name": f"q{num}"} | fields))


def qualification(world: Any, **fields: Any) -> Qualification:
    if "qualification_set" not in fields:
        fields["qualification_set"] = qualification_set(world)
    return Qualification.objects.create(**({"labeler": world.labeler, "state": "passed"} | fields))


def reference(world: Any, **fields: Any) -> Reference:
    return Reference.objects.create(**({"task": world.task, "ranks": [1, 2, 3], "created_by": world.manager} | fields))


def review(world: Any, **fields: Any) -> Review:
    return Review.objects.create(**({"project": world.project, "task": world.task, "reason": "asked"} | fields))


def review_of_another_task(world: Any) -> None:
    other = Task.objects.create(project=world.project, kind="demonstrate", prompt=world.prompt)
    decided = {"state": "done", "reviewer": world.manager, "decided_at": NOW, "ranking": world.ranking}
    review(world, task=other, **decided)


def survey(world: Any, **fields: Any) -> SurveyAnswer:
    defaults = {"project": world.project, "user": world.labeler, "kind": "satisfaction"}
    return SurveyAnswer.objects.create(**(defaults | fields))


def withdrawal(world: Any) -> Withdrawal:
    who = {"labeler": world.labeler, "withdrawn_by": world.manager}
    return Withdrawal.objects.create(project=world.project, reason="Asked us to.", **who)


def read(world: Any) -> GuidelineReading:
    return GuidelineReading.objects.create(guideline=world.project.current_guideline(), user=world.labeler)


def evaluation_file(world: Any, **fields: Any) -> EvaluationFile:
    values = {"project": world.project, "kind": "truthfulqa", "filename": "a.csv", "num_rows": 1, "sha256": "0" * 64}
    return EvaluationFile.objects.create(**(values | fields))


def two_files_for_a_field(world: Any) -> None:
    made, file = run(world), evaluation_file(world)
    for _ in range(2):
        RunFile.objects.create(run=made, name="truthfulqa", file=file)


def evaluation(world: Any, **fields: Any) -> Evaluation:
    values = {"project": world.project, "name": f"e{Evaluation.objects.count()}", "splits": ["valid"], "num_prompts": 1}
    return Evaluation.objects.create(**(values | {"max_prompt_tokens": 8, "max_new_tokens": 8} | fields))


def entrants(world: Any, *positions: int, **fields: Any) -> None:
    """Of one evaluation."""
    values = {"evaluation": evaluation(world)} | fields
    for position in positions:
        own = {"model": fields.get("model") or a_model(world), "position": position}
        EvaluationModel.objects.create(**(values | own))


def drawn(world: Any, number: int = 1, **fields: Any) -> EvaluationPrompt:
    values = {"evaluation": fields.get("evaluation") or evaluation(world), "prompt": world.prompt, "wave": 1}
    return EvaluationPrompt.objects.create(**(values | {"number": number} | fields))


def drawn_twice(world: Any) -> None:
    of = evaluation(world)
    for number in (1, 2):
        drawn(world, number, evaluation=of)


def two_prompts_of_a_number(world: Any) -> None:
    of = evaluation(world)
    for asked in (world.prompt, prompt(world)):
        drawn(world, 1, evaluation=of, prompt=asked)


def two_items_of_a_number(world: Any) -> None:
    of = drawn(world)
    for _ in range(2):
        EvaluationItem.objects.create(prompt=of, number=0, left_out="same")


def two_runs_for_a_wave(world: Any) -> None:
    of = EvaluationModel.objects.create(evaluation=evaluation(world), model=a_model(world), position=0)
    for _ in range(2):
        EvaluationRun.objects.create(entrant=of, wave=1, run=run(world))


NOW = timezone.now()
BREAKS: dict[str, Callable[[Any], Any]] = {
    # people and projects
    "user_imported_is_inactive": lambda w: User.objects.filter(pk=w.labeler.pk).update(is_imported=True),
    "membership_one_per_person": lambda w: Membership.objects.create(project=w.project, user=w.labeler, role="manager"),
    "membership_role_known": lambda w: Membership.objects.filter(user=w.labeler).update(role="king"),
    "invitation_role_known": lambda w: invitation(w, role="king"),
    "invitation_accepted_by_somebody": lambda w: invitation(w, accepted_at=NOW),
    "invitation_accepted_or_revoked": lambda w: invitation(w, accepted_at=NOW, accepted_by=w.labeler, revoked_at=NOW),
    "invitation_expires_later": lambda w: invitation(w, expires_at=NOW - timedelta(days=1)),
    "token_hash": lambda w: two(invitation, w),
    "project_overlap_1_to_50": lambda w: type(w.project).objects.filter(pk=w.project.pk).update(overlap=0),
    "project_lease_1_to_240": lambda w: type(w.project).objects.filter(pk=w.project.pk).update(lease_minutes=0),
    "project_ahead_1_to_8": lambda w: changed(w.project, tasks_ahead=9),
    "project_hidden_work_up_to_half_each": lambda w: changed(w.project, gold_percent=51),
    "project_review_is_a_percentage": lambda w: changed(w.project, review_below_percent=101),
    "guideline_one_per_version": lambda w: Guideline.objects.create(project=w.project, version=1, text="x"),
    "guideline_version_from_1": lambda w: Guideline.objects.create(project=w.project, version=0, text="x"),
    "labeling_guideline_append_only": guideline_changes,
    # prompts, imports, responses
    "prompt_unique_content": lambda w: two(prompt, w),
    "prompt_split_known": lambda w: prompt(w, split="dev"),
    "prompt_use_case_known": lambda w: prompt(w, use_case="poetry"),
    "prompt_source_known": lambda w: prompt(w, source="moon"),
    "prompt_not_empty": lambda w: prompt(w, num_chars=0),
    "prompt_hash_is_sha256": lambda w: prompt(w, content_hash="b"),
    "import_kind_known": lambda w: batch(w, kind="cats"),
    "import_state_known": lambda w: batch(w, state="lost"),
    "import_taken_and_refused_add_up": lambda w: batch(w, state="done", num_rows=3, num_taken=1, num_refused=1),
    "refusal_one_per_line": refusal_twice,
    "look_state_and_time_agree": lambda w: PromptLook.objects.create(project=w.project, parts=[], state="done"),
    "look_one_running_per_project": lambda w: [PromptLook.objects.create(project=w.project, parts=[]) for _ in "ab"],
    "response_one_per_sample": lambda w: two(response, w),
    # tasks and slots
    "task_kind_known": lambda w: Task.objects.create(project=w.project, kind="sing", prompt=w.prompt),
    "task_state_known": lambda w: Task.objects.filter(pk=w.task.pk).update(state="odd"),
    "task_num_responses_fits_kind": lambda w: Task.objects.filter(pk=w.task.pk).update(num_responses=1),
    "task_has_a_prompt_unless_it_asks_for_one": lambda w: Task.objects.create(project=w.project, kind="demonstrate"),
    "task_wants_at_least_one": lambda w: Task.objects.filter(pk=w.task.pk).update(num_wanted=0),
    "task_for_people_up_to_9": lambda w: Task.objects.filter(pk=w.task.pk).update(num_responses=10),
    "task_response_once": lambda w: TaskResponse.objects.create(task=w.task, response=w.responses[0], position=5),
    "task_position_once": lambda w: TaskResponse.objects.create(task=w.task, response=response(w), position=0),
    "task_position_below_32": lambda w: TaskResponse.objects.create(task=w.task, response=response(w), position=32),
    "slot_one_per_number": lambda w: slot(w, number=1),
    "slot_one_per_task_and_holder": lambda w: slot(w, state="held", holder=w.labeler, lease_until=SOON),
    "slot_state_and_holder_agree": lambda w: slot(w, state="held", holder=w.labeler2),
    "slot_of_a_test_is_never_open": lambda w: slot(w, task=known_answer(w)),
    "task_purpose_never_changes": lambda w: Task.objects.filter(pk=known_answer(w).pk).update(purpose="work"),
    "skip_one_per_person": lambda w: [
        Skip.objects.create(task=w.task, labeler=w.labeler, reason="other") for _ in "ab"
    ],
    "skip_reason_known": lambda w: Skip.objects.create(task=w.task, labeler=w.labeler, reason="bored"),
    "draft_one_per_person": lambda w: [Draft.objects.create(task=w.task, labeler=w.labeler) for _ in "ab"],
    # judgements
    "ranking_one_per_slot": lambda w: ranking(w, slot=w.done, labeler=w.labeler2),
    "ranking_one_per_task_and_labeler": lambda w: ranking(w, slot=w.open),
    "ranking_one_per_key": lambda w: ranking(w, labeler=w.labeler2, slot=w.open, idempotency_key="key-0"),
    "ranking_revision_and_replaces_agree": lambda w: ranking(w, revision=2),
    "ranking_outcome_and_ranks_agree": lambda w: ranking(w, labeler=w.labeler2, ranks=[]),
    "ranking_time_not_negative": lambda w: ranking(w, labeler=w.labeler2, active_seconds=-1),
    "labeling_ranking_append_only": lambda w: Ranking.objects.filter(pk=w.ranking.pk).update(ranks=[1, 1, 1]),
    "ranking_displayed_is_a_permutation": lambda w: ranking(w, labeler=w.labeler2, displayed=[0, 1, 1]),
    "ranking_ranks_fit_task": lambda w: ranking(w, labeler=w.labeler2, ranks=[1, 3, 3]),
    "ranking_ratings_fit_task": lambda w: ranking(w, labeler=w.labeler2, ratings=[7, 7]),
    "demonstration_one_per_key": lambda w: [
        demonstration(w, labeler=who, idempotency_key="same") for who in (w.labeler, w.labeler2)
    ],
    "demonstration_one_per_prompt_and_labeler": lambda w: two(demonstration, w),
    "demonstration_revision_and_replaces_agree": lambda w: demonstration(w, revision=2),
    "demonstration_not_empty": lambda w: demonstration(w, text=""),
    "labeling_demonstration_append_only": demonstration_changes,
    # prompts written and annotated
    "task_brief_asks_for_a_prompt": lambda w: Task.objects.create(project=w.project, kind="write_prompt"),
    "brief_style_known": lambda w: brief(w, style="haiku"),
    "brief_use_case_known": lambda w: brief(w, use_case="poetry"),
    "brief_describes_its_use_case": lambda w: brief(w, style="user_based"),
    "writtenprompt_one_per_key": lambda w: [
        written(w, labeler=who, idempotency_key="same") for who in (w.labeler, w.labeler2)
    ],
    "writtenprompt_one_per_slot": lambda w: in_one_slot(written, w),
    "writtenprompt_one_per_task_and_labeler": lambda w: twice_by_one(written, w),
    "writtenprompt_revision_and_replaces_agree": lambda w: written(w, revision=2),
    "writtenprompt_not_empty": lambda w: written(w, instruction=""),
    "labeling_writtenprompt_append_only": lambda w: changed(written(w), instruction="Another."),
    "annotation_one_per_key": lambda w: [
        annotation(w, labeler=who, idempotency_key="same") for who in (w.labeler, w.labeler2)
    ],
    "annotation_one_per_slot": lambda w: in_one_slot(annotation, w),
    "annotation_one_per_task_and_labeler": lambda w: twice_by_one(annotation, w),
    "annotation_revision_and_replaces_agree": lambda w: annotation(w, revision=2),
    "annotation_labels_were_asked": lambda w: annotation(w, labels=["Silly"]),
    "labeling_promptannotation_append_only": lambda w: changed(annotation(w), labels=[]),
    # quality
    "task_purpose_says_what_it_repeats_or_qualifies": lambda w: changed(w.task, purpose="repeat"),
    "task_stream_and_score_agree": lambda w: changed(w.task, score=0.5),
    "reading_once_per_version": lambda w: [read(w) for _ in "ab"],
    "qualification_set_one_active_per_kind": lambda w: two(qualification_set, w, state="active"),
    "qualification_set_unique_name": lambda w: two(qualification_set, w, name="same"),
    "qualification_set_kind_known": lambda w: qualification_set(w, kind="cats"),
    "qualification_set_state_known": lambda w: qualification_set(w, state="odd"),
    "qualification_set_cutoffs_in_range": lambda w: qualification_set(w, cutoff_rankings=1.5),
    "qualification_one_per_person": lambda w: two(qualification, w, qualification_set=qualification_set(w)),
    "qualification_state_known": lambda w: qualification(w, state="maybe"),
    "qualification_waived_by_somebody": lambda w: qualification(w, state="waived"),
    "reference_ranks_fit_task": lambda w: reference(w, ranks=[1, 3, 3]),
    "grade_1_to_7": lambda w: DemonstrationGrade.objects.create(
        demonstration=demonstration(w), grade=8, graded_by=w.manager
    ),
    "review_reason_known": lambda w: review(w, reason="bored"),
    "review_state_and_decision_agree": lambda w: review(w, state="done", reviewer=w.manager, decided_at=NOW),
    "review_decides_its_own_task": review_of_another_task,
    # people, later
    "survey_one_release_per_question": lambda w: two(released, w),
    "survey_release_of_five_or_more": lambda w: released(w, num_people=4),
    "survey_one_per_person": lambda w: two(survey, w),
    "survey_kind_known": lambda w: survey(w, kind="cats"),
    "withdrawal_once_per_person": lambda w: [withdrawal(w) for _ in "ab"],
    # snapshots, runs, models, rounds
    "snapshot_unique_name": lambda w: two(snapshot, w, name="same"),
    "snapshot_unique_content": lambda w: two(ready, w),
    "snapshot_kind_known": lambda w: snapshot(w, kind="cats"),
    "snapshot_ready_has_a_hash": lambda w: ready(w, sha256=None),
    "snapshot_same_names_the_earlier_one": lambda w: snapshot(w, state="same", finished_at=NOW),
    "snapshot_never_changes": frozen_changes,
    "snapshot_ranking_once": same_ranking_twice_in_a_snapshot,
    "snapshot_demonstration_once": same_demonstration_twice_in_a_snapshot,
    "run_stage_known": lambda w: run(w, stage="magic"),
    "run_state_and_times_agree": lambda w: run(w, state="running"),
    "run_failed_says_how": lambda w: run(w, state="failed", finished_at=NOW),
    "run_attempts_bounded": lambda w: run(w, attempt=4),
    "run_one_live_per_key": lambda w: two(run, w, idempotency_key="same"),
    "run_fence_grows": fence_shrinks,
    "run_ends_once": ended_run_changes,
    "labeling_runevent_append_only": event_changes,
    "run_input_once": input_twice,
    "run_input_is_one_thing": input_of_two_things,
    "evaluation_file_once": lambda w: two(evaluation_file, w),
    "evaluation_file_kind_known": lambda w: evaluation_file(w, kind="letters"),
    "evaluation_file_has_rows": lambda w: evaluation_file(w, num_rows=0),
    "evaluation_file_has_a_hash": lambda w: evaluation_file(w, sha256="abc"),
    "run_file_once": two_files_for_a_field,
    "model_event_known": model_event_of_no_kind,
    "labeling_modelevent_append_only": model_event_changes,
    "model_unique_name": lambda w: two(a_model, w, name="same"),
    "model_one_current_policy": lambda w: two(a_model, w, is_current=True),
    "model_kind_known": lambda w: a_model(w, kind="cat"),
    "model_current_is_a_policy": lambda w: a_model(w, kind="reward", is_current=True),
    "model_with_weights_has_files": lambda w: a_model(w, storage_key=""),
    "round_unique_number": lambda w: two(a_round, w, number=1, state="done", finished_at=NOW),
    "round_one_live_per_project": lambda w: two(a_round, w),
    "round_state_and_time_agree": lambda w: a_round(w, state="done"),
    "response_score_one_per_model": lambda w: [a_score(w, score=number) for number in (1.0, 2.0)],
    "response_score_is_a_number": lambda w: a_score(w, score=float("nan")),
    "round_responses_2_to_9": lambda w: a_round(w, responses_per_prompt=1),
    "round_kl_budget_0_to_10000": lambda w: a_round(w, kl_budget=-0.5),
    **playground_rules.BREAKS,
    # evaluations
    "evaluation_unique_name": lambda w: two(evaluation, w, name="same"),
    "evaluation_kind_known": lambda w: evaluation(w, kind="duel"),
    "evaluation_step_known": lambda w: evaluation(w, step="lunch"),
    "evaluation_done_after_judging": lambda w: evaluation(w, state="done", step="tasks", finished_at=NOW),
    "evaluation_state_and_time_agree": lambda w: evaluation(w, state="done", step="judge"),
    "evaluation_prompts_are_held_out": lambda w: evaluation(w, splits=["valid", "train"]),
    "evaluation_wants_something": lambda w: evaluation(w, num_prompts=0),
    "evaluation_can_sample": lambda w: evaluation(w, top_p=0),
    "evaluation_model_once": lambda w: entrants(w, 0, 1, model=a_model(w)),
    "evaluation_model_position_once": lambda w: entrants(w, 0, 0),
    "evaluation_one_baseline": lambda w: entrants(w, 0, 1, is_baseline=True),
    "evaluation_at_most_9_models": lambda w: entrants(w, 9),
    "evaluation_run_once": two_runs_for_a_wave,
    "evaluation_prompt_once": drawn_twice,
    "evaluation_prompt_number_once": two_prompts_of_a_number,
    "evaluation_item_once": two_items_of_a_number,
    "evaluation_item_is_asked_or_says_why_not": lambda w: EvaluationItem.objects.create(prompt=drawn(w), number=0),
    "task_of_an_evaluation_is_work_of_ranking": lambda w: known_answer(w, evaluation=evaluation(w)),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_the_database_refuses_what_breaks(rule: str, floor: Any) -> None:
    with pytest.raises((IntegrityError, DatabaseError)) as caught, transaction.atomic():
        BREAKS[rule](floor)
    assert rule in str(caught.value) or rule == _constraint(caught.value)


def _constraint(error: BaseException) -> str:
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") or ""


def test_every_named_constraint_of_the_rows_has_a_breaker() -> None:
    from django.apps import apps

    named = {c.name for model in apps.get_app_config("labeling").get_models() for c in model._meta.constraints}
    waived = {
        "response_num_chars_positive",  # PositiveIntegerField's own check says the same first
        "slot_state_known",  # slot_state_and_holder_agree knows the same states and is asked first
        "round_state_known",  # the same of round_state_and_time_agree
        "ranking_keeps_displayed_order",  # the trigger ranking_displayed_is_a_permutation is stricter
        "reference_ranks_two_or_more",  # the trigger reference_ranks_fit_task is stricter: K is 2 or more
        "demonstration_one_per_slot",  # the rule of the rankings, on the other table: test below
    }
    assert named - set(BREAKS) - waived == set()


@pytest.mark.parametrize("make", [input_of_a_snapshot_and_an_upload, input_of_an_upload_and_a_folder, input_of_nothing])
def test_an_input_of_a_run_is_one_thing(make: Any, floor: Any) -> None:
    with pytest.raises(IntegrityError, match="run_input_is_one_thing"):
        make(floor)


def test_a_slot_takes_one_demonstration(floor: Any) -> None:
    demonstration(floor, slot=floor.open)
    with pytest.raises(IntegrityError, match="demonstration_one_per_slot"):
        demonstration(floor, slot=floor.open, labeler=floor.labeler)


def test_a_ranking_of_another_tasks_slot_is_refused(floor: Any, make_prompt: Any) -> None:
    other = Task.objects.create(project=floor.project, kind="demonstrate", prompt=floor.prompt)
    elsewhere = slot(floor, task=other, number=0)
    with pytest.raises(DatabaseError, match="another task"):
        ranking(floor, labeler=floor.labeler2, slot=elsewhere)


def test_an_edit_is_a_new_revision_that_keeps_the_slot(floor: Any) -> None:
    again = ranking(floor, slot=floor.done, revision=2, replaces=floor.ranking, ranks=[2, 1, 1])
    assert list(Ranking.objects.current()) == [again]


@pytest.mark.parametrize("purpose", ["gold", "qualification", "repeat"])
def test_a_place_of_a_test_never_comes_open(floor: Any, purpose: str) -> None:
    of = {"qualification": {"qualification_set": qualification_set(floor)}, "repeat": {"repeats": floor.task}}
    task = known_answer(floor, purpose=purpose, **of.get(purpose, {}))
    held = slot(floor, task=task, state="held", holder=floor.labeler, lease_until=SOON)
    opened = {"state": "open", "holder": None, "lease_until": None}
    for pk, changes in ((held.pk, opened), (floor.open.pk, {"task": task})):
        with pytest.raises(IntegrityError, match="must not lie open"):
            change_slot(pk, **changes)
    with pytest.raises(IntegrityError, match="must not lie open"), transaction.atomic():
        Slot.objects.bulk_create(
            [Slot(task=one, number=8, project=floor.project, kind="rank") for one in (floor.task, task)]
        )
    with transaction.atomic():  # a hold that lapsed: opened, then taken away
        Slot.objects.filter(pk=held.pk).update(**opened)
        held.delete()
        at_the_end_of_the_transaction()
    assert list(task.slots.all()) == []


@transaction.atomic
def change_slot(pk: int, **changes: Any) -> None:
    Slot.objects.filter(pk=pk).update(**changes)
    at_the_end_of_the_transaction()


def at_the_end_of_the_transaction() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_claim_sets_no_rule_about_tests_going(floor: Any) -> None:
    """Only what comes open is looked at: a claim must not pay for it."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE FUNCTION podium_slot_comes_open() RETURNS trigger LANGUAGE plpgsql AS $$"
                       " BEGIN RAISE EXCEPTION 'it went'; END $$")  # fmt: skip
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    holding = {"holder": floor.labeler2, "lease_until": SOON}
    Slot.objects.filter(pk=floor.open.pk).update(state="held", **holding)
    Slot.objects.filter(pk=floor.open.pk).update(lease_until=SOON + timedelta(minutes=1))
    with pytest.raises(DatabaseError, match="it went"), transaction.atomic():
        Slot.objects.filter(pk=floor.open.pk).update(state="open", holder=None, lease_until=None)
