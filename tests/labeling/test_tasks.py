"""Making tasks: which prompts got one, which did not and why; and wanting more or fewer judgements later."""

import pytest

from labeling.models import Model, Prompt, Response, Slot, Task
from labeling.services import assignments, rankings, tasks
from labeling.services.answers import Answer
from labeling.services.tasks import TaskError


def make(people, num_responses=4, num_wanted=2, **more):
    return tasks.make_ranking_tasks(
        project=people.project,
        prompts=Prompt.objects.order_by("pk"),
        num_responses=num_responses,
        num_wanted=num_wanted,
        user=people.manager,
        **more,
    )


def states(task):
    return sorted(task.slots.values_list("state", flat=True))


def test_each_prompt_gets_one_task_with_its_responses_and_its_slots(people, make_prompt):
    prompt = make_prompt(k=4)
    counts = make(people)
    task = Task.objects.get()
    assert (counts.num_made, counts.task_ids, counts.refused) == (1, [task.pk], [])
    assert set(task.task_responses.values_list("response", flat=True)) == set(
        prompt.responses.values_list("pk", flat=True)
    )
    assert list(task.task_responses.values_list("position", flat=True)) == [0, 1, 2, 3]
    assert list(task.slots.order_by("number").values_list("number", "state")) == [(1, "open"), (2, "open")]


def test_a_prompt_with_too_few_responses_is_refused_with_the_reason(people, make_prompt):
    few = make_prompt("few", k=3)
    make_prompt("enough", k=4)
    counts = make(people)
    assert counts.refused == [(few.pk, tasks.TOO_FEW)]
    assert counts.num_made == 1
    assert not Task.objects.filter(prompt=few).exists()


def test_the_same_responses_are_not_asked_twice(people, make_prompt):
    prompt = make_prompt()
    make(people)
    counts = make(people)
    assert counts.refused == [(prompt.pk, tasks.SAME_RESPONSES)]
    assert Task.objects.count() == 1


def test_a_response_that_names_its_model_is_left_out_and_counted(people, make_prompt):
    prompt = make_prompt(k=5)
    outed = prompt.responses.get(sample_index=2)
    Response.objects.filter(pk=outed.pk).update(names_itself=True)
    counts = make(people)
    assert counts.num_names_itself == 1
    assert outed.pk not in Task.objects.get().task_responses.values_list("response", flat=True)


def test_two_responses_with_the_same_text_never_meet(people, make_prompt):
    prompt = make_prompt(k=4)
    Response.objects.filter(prompt=prompt, sample_index__in=[0, 1]).update(text="twin")
    counts = make(people)
    assert counts.num_same_text == 1
    assert counts.by_reason == {tasks.TOO_FEW: 1}
    assert not Task.objects.exists()


def test_the_newest_models_responses_come_first(people, make_prompt):
    prompt = make_prompt(k=4)
    newer = Model.objects.create(project=people.project, name="newer", kind="external")
    for index in range(2):
        Response.objects.create(prompt=prompt, model=newer, sample_index=index, text=f"new {index}", num_chars=5)
    make(people, num_responses=2)
    assert {place.response.model for place in Task.objects.get().task_responses.all()} == {newer}


def test_a_model_of_another_name_is_left_out_when_one_is_asked_for(people, make_prompt):
    make_prompt(k=4)
    newer = Model.objects.create(project=people.project, name="newer", kind="external")
    counts = make(people, num_responses=2, model=newer)
    assert counts.by_reason == {tasks.TOO_FEW: 1}
    assert not Task.objects.exists()


def test_a_retired_prompt_gets_no_task_of_either_kind(people, make_prompt):
    prompt = make_prompt()
    Prompt.objects.update(is_retired=True)
    assert make(people).refused == [(prompt.pk, tasks.RETIRED)]
    written = tasks.make_demonstration_tasks(project=people.project, prompts=Prompt.objects.all(), user=people.manager)
    assert written.refused == [(prompt.pk, tasks.RETIRED)]
    assert not Task.objects.exists()


@pytest.mark.parametrize("num_responses", [1, 10])
def test_people_rank_two_to_nine(people, make_prompt, num_responses):
    make_prompt(k=10)
    with pytest.raises(TaskError, match="2 to 9"):
        make(people, num_responses=num_responses)
    assert not Task.objects.exists()


def test_one_demonstration_task_per_prompt(people, make_prompt):
    prompt = make_prompt(k=0)
    first = tasks.make_demonstration_tasks(project=people.project, prompts=[prompt], num_wanted=3, user=people.manager)
    again = tasks.make_demonstration_tasks(project=people.project, prompts=[prompt], user=people.manager)
    assert (first.num_made, again.num_made) == (1, 0)
    assert again.refused == [(prompt.pk, tasks.HAS_DEMONSTRATION_TASK)]
    assert Task.objects.get().slots.count() == 3


def test_making_tasks_costs_the_same_for_one_prompt_and_for_thirty(people, make_prompt, django_assert_max_num_queries):
    for number in range(30):
        make_prompt(f"prompt {number}", k=2)
    # savepoint ×2, the project's lock, and per 500 prompts: prompts, responses, existing sets, tasks, slots, places
    with django_assert_max_num_queries(10):
        assert make(people, num_responses=2).num_made == 30


def test_wanting_more_opens_slots_and_wanting_fewer_drops_open_ones_only(people, make_prompt):
    make_prompt()
    make(people, num_wanted=2)
    task = Task.objects.get()
    assignments.claim_task(task=task, labeler=people.labeler)
    tasks.set_num_wanted(task=task, num_wanted=4)
    assert states(task) == ["held", "open", "open", "open"]
    tasks.set_num_wanted(task=task, num_wanted=1)
    assert states(task) == ["held"]


def test_fewer_than_are_in_already_cannot_be_wanted(people, make_prompt):
    make_prompt(k=2)
    make(people, num_responses=2, num_wanted=3)
    task = Task.objects.get()
    for number, labeler in enumerate([people.labeler, people.labeler2]):
        rankings.submit(task=task, labeler=labeler, idempotency_key=f"k{number}", answer=Answer(ranks=[1, 2]))
    with pytest.raises(TaskError, match="2 judgements are in"):
        tasks.set_num_wanted(task=task, num_wanted=1)
    assert Task.objects.get().num_wanted == 3


def test_a_closed_task_is_handed_to_nobody_and_a_reopened_one_is(people, make_prompt):
    make_prompt()
    make(people, num_wanted=2)
    task = Task.objects.get()
    assert tasks.close(task=task)
    assert not tasks.close(task=task)
    assert isinstance(assignments.claim(project=people.project, labeler=people.labeler), assignments.Nothing)
    assert not Slot.objects.filter(task=task).exists()
    assert tasks.reopen(task=task)
    assert isinstance(assignments.claim(project=people.project, labeler=people.labeler), Slot)


def test_who_holds_a_task_when_it_closes_may_still_finish(people, make_prompt):
    make_prompt(k=2)
    make(people, num_responses=2)
    task = Task.objects.get()
    assignments.claim_task(task=task, labeler=people.labeler)
    tasks.close(task=task)
    ranking = rankings.submit(task=task, labeler=people.labeler, idempotency_key="k", answer=Answer(ranks=[2, 1]))
    assert ranking.slot is not None
    assert states(task) == ["done"]
