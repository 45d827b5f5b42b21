"""A withdrawal voids what a person gave, wants it again from others, and is said wherever the data has gone."""

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from labeling.models import (
    Demonstration,
    Draft,
    Model,
    Prompt,
    PromptBrief,
    Ranking,
    Run,
    RunInput,
    Slot,
    SurveyAnswer,
    Task,
    Withdrawal,
)
from labeling.services import annotations, asking, assignments, demonstrations, survey, tasks, withdrawals, writing
from labeling.services import people as members
from labeling.services.annotations import Annotation
from labeling.services.writing import Writing
from tests.labeling.conftest import People
from tests.labeling.people_data.conftest import as_, freeze, rank


def membership(people: People) -> Any:
    return people.project.memberships.get(user=people.labeler)


def withdraw(people: People) -> Withdrawal:
    return withdrawals.withdraw(membership=membership(people), reason="asked for it", by=people.manager)


@pytest.fixture
def worked(people: People, ask: Any, make_prompt: Any) -> Any:
    """Lena and Luis ranked two tasks, Lena wrote an answer and a prompt and labeled a prompt."""
    first, second = ask(2, wanted=2)
    for task in (first, second):
        rank(task, people.labeler)
        rank(task, people.labeler2)
    prompt = make_prompt("To be answered", k=0)
    counts = tasks.make_demonstration_tasks(project=people.project, prompts=[prompt], user=people.manager)
    written = Task.objects.get(pk=counts.task_ids[0])
    demonstrations.submit(task=written, labeler=people.labeler, idempotency_key=str(uuid.uuid4()), text="Because.")
    brief = PromptBrief(project=people.project, style="plain", use_case="chat", language="en")
    asked = asking.ask_for_prompts(brief=brief, user=people.manager, num_tasks=1)[0]
    given = Writing(instruction="Lena's own prompt")
    writing.submit(task=asked, labeler=people.labeler, idempotency_key=str(uuid.uuid4()), writing=given)
    labels = asking.ask_for_annotations(project=people.project, prompts=[prompt], user=people.manager)
    annotated = Task.objects.get(pk=labels.task_ids[0])
    said = Annotation(labels=[people.project.prompt_labels[0]])
    annotations.submit(task=annotated, labeler=people.labeler, idempotency_key=str(uuid.uuid4()), annotation=said)
    people.first, people.demonstrated, people.asked, people.annotated = first, written, asked, annotated  # type: ignore[attr-defined]
    return people


def test_the_preview_says_what_is_touched_and_touches_nothing(worked: Any) -> None:
    found = withdrawals.preview(project=worked.project, labeler=worked.labeler)
    assert (found.num_rankings, found.num_demonstrations, found.num_prompts, found.num_annotations) == (2, 1, 1, 1)
    assert found.snapshots == found.runs == found.models == []
    assert Ranking.objects.counted().count() == 4
    assert not Withdrawal.objects.exists()


def test_a_withdrawal_voids_all_of_one_person_and_nothing_of_others(worked: Any) -> None:
    done = withdraw(worked)
    assert (done.num_rankings, done.num_demonstrations) == (2, 1)
    assert set(Ranking.objects.counted().values_list("labeler", flat=True)) == {worked.labeler2.pk}
    assert Ranking.objects.count() == 4  # void, not deleted
    assert not Demonstration.objects.current().exists()
    assert Prompt.objects.get(author=worked.labeler).is_retired
    assert not annotations.counted(project=worked.project).exists()
    assert not worked.project.memberships.get(user=worked.labeler).is_active


def test_what_was_wanted_is_wanted_again_from_somebody_else(worked: Any) -> None:
    withdraw(worked)
    for task in (worked.first, worked.demonstrated, worked.asked, worked.annotated):
        assert task.slots.filter(state="open").count() == 1, task.kind
    worked.project.memberships.filter(user=worked.labeler).update(is_active=True)
    assert assignments.claim_task(task=worked.first, labeler=worked.labeler) is None  # not from the same person
    assert assignments.claim_task(task=worked.first, labeler=worked.reviewer) is not None


def test_closed_and_surplus_work_is_not_wanted_again(people: People, ask: Any) -> None:
    closed, full = ask(2)
    rank(closed, people.labeler)
    rank(full, people.labeler2)
    rank(full, people.labeler)  # surplus
    tasks.close(task=closed)
    withdraw(people)
    assert not Slot.objects.filter(state="open").exists()


def test_tasks_about_a_prompt_of_theirs_are_closed(worked: Any) -> None:
    theirs = Prompt.objects.get(author=worked.labeler)
    asking.ask_for_annotations(project=worked.project, prompts=[theirs], user=worked.manager)
    task = Task.objects.get(prompt=theirs)
    withdraw(worked)
    task.refresh_from_db()
    assert task.state == "closed"
    assert not task.slots.filter(state="open").exists()


def test_held_work_goes_back_and_what_was_no_answer_is_deleted(people: People, ask: Any) -> None:
    task = ask()[0]
    assignments.claim_task(task=task, labeler=people.labeler)
    Draft.objects.create(task=task, labeler=people.labeler, payload={})
    survey.answer(project=people.project, user=people.labeler, kind="satisfaction", answers={"clear": "Agree"})
    withdraw(people)
    assert task.slots.get().state == "open"
    assert not Draft.objects.exists()
    assert not SurveyAnswer.objects.exists()


def test_existing_snapshots_stay_and_say_what_they_hold(worked: Any) -> None:
    rankings = freeze(worked.project, "reward", "before", worked.manager)
    sft = freeze(worked.project, "sft", "answers", worked.manager)
    prompts = freeze(worked.project, "prompts", "all prompts", worked.manager)
    found = withdrawals.preview(project=worked.project, labeler=worked.labeler)
    held = {snapshot.name: what for snapshot, what in found.snapshots}
    assert held["before"].num_rankings == 2
    assert held["answers"].num_demonstrations == 1
    assert held["all prompts"].num_prompts == 1
    assert not any(withdrawals.held_by_snapshot(snapshot) for snapshot in (rankings, sft, prompts))
    sha = rankings.sha256
    withdraw(worked)
    rankings.refresh_from_db()
    assert rankings.sha256 == sha
    assert withdrawals.held_by_snapshot(rankings) == withdrawals.Held(num_people=1, num_rankings=2)
    assert withdrawals.held_by_snapshot(sft) == withdrawals.Held(num_people=1, num_demonstrations=1)
    assert withdrawals.held_by_snapshot(prompts) == withdrawals.Held(num_people=1, num_prompts=1)
    page = as_(worked.manager).get(f"/p/tea/data/{rankings.uid}/").content.decode()
    assert "data of 1 person who withdrew: 2 rankings" in page


def test_a_new_snapshot_holds_nothing_of_it(worked: Any) -> None:
    withdraw(worked)
    rankings = freeze(worked.project, "reward", "after", worked.manager)
    assert rankings.num_rows == 2
    assert not withdrawals.held_by_snapshot(rankings)
    tasks.make_demonstration_tasks(project=worked.project, prompts=[worked.first.prompt], user=worked.manager)
    again = Task.objects.get(kind="demonstrate", prompt=worked.first.prompt)
    demonstrations.submit(task=again, labeler=worked.labeler2, idempotency_key="d", text="An answer that stays.")
    answers = freeze(worked.project, "sft", "answers after", worked.manager)
    assert answers.num_rows == 1
    assert not withdrawals.held_by_snapshot(answers)
    prompts = freeze(worked.project, "prompts", "prompts after", worked.manager)
    assert not withdrawals.held_by_snapshot(prompts)


def test_runs_and_models_that_come_from_it_are_named_down_the_line(worked: Any) -> None:
    snapshot = freeze(worked.project, "reward", "before", worked.manager)
    run = Run.objects.create(project=worked.project, stage="reward", name="rm run", idempotency_key="a")
    RunInput.objects.create(run=run, name="data", snapshot=snapshot)
    reward = Model.objects.create(project=worked.project, name="rm", kind="reward", run=run, storage_key="x")
    later = Run.objects.create(project=worked.project, stage="ppo", name="ppo run", idempotency_key="b")
    RunInput.objects.create(run=later, name="reward_model", model=reward)
    policy = Model.objects.create(project=worked.project, name="policy", kind="policy", run=later, storage_key="y")
    other = Model.objects.create(project=worked.project, name="other", kind="policy", storage_key="z")
    found = withdrawals.preview(project=worked.project, labeler=worked.labeler)
    assert found.runs == [run]
    assert set(found.models) == {reward, policy}
    withdraw(worked)
    client = as_(worked.manager)
    assert "data of 1 person who withdrew" in client.get(f"/p/tea/models/{reward.uid}/").content.decode()
    assert "who withdrew" in client.get(f"/p/tea/models/{policy.uid}/").content.decode()
    assert "who withdrew" not in client.get(f"/p/tea/models/{other.uid}/").content.decode()


def test_who_comes_back_and_leaves_again_is_one_withdrawal_with_the_sum(people: People, ask: Any) -> None:
    first, second = ask(2)
    rank(first, people.labeler)
    withdraw(people)
    members.reactivate(membership=membership(people))
    rank(second, people.labeler)
    assert Ranking.objects.counted().count() == 1
    assert withdraw(people).num_rankings == 2
    assert Withdrawal.objects.count() == 1
    assert not Ranking.objects.counted().exists()


def test_the_last_manager_cannot_be_withdrawn_and_nothing_is_void_then(people: People, ask: Any) -> None:
    rank(ask()[0], people.manager)
    with pytest.raises(members.LastManagerError):
        withdrawals.withdraw(
            membership=people.project.memberships.get(user=people.manager), reason="x", by=people.manager
        )
    assert Ranking.objects.counted().count() == 1


def test_one_withdrawal_per_person_and_project(people: People) -> None:
    fields = {"project": people.project, "labeler": people.labeler, "reason": "x", "withdrawn_by": people.manager}
    Withdrawal.objects.create(**fields)
    with pytest.raises(IntegrityError), transaction.atomic():
        Withdrawal.objects.create(**fields)


def test_the_page_shows_all_before_and_needs_a_reason_and_a_tick(worked: Any) -> None:
    client = as_(worked.manager)
    address = f"/p/tea/people/{worked.labeler.uid}/withdraw/"
    assert b"What counts no more" in client.get(address).content
    assert client.post(address, {"reason": "asked"}).status_code == 422
    assert not Withdrawal.objects.exists()
    client.post(address, {"reason": "asked", "is_sure": "on"})
    assert Withdrawal.objects.get().reason == "asked"
    assert b"withdrew" in client.get(f"/p/tea/people/{worked.labeler.uid}/").content
