"""Prompts that labelers write become prompts of the project; rows are only added."""

from typing import Any

import pytest

from labeling.models import Draft, Prompt, Response, Slot, Task, WrittenPrompt
from labeling.services import assignments, prompts, writing
from labeling.services.answers import AnswerError
from labeling.services.assignments import Nothing
from labeling.services.submissions import AlreadySubmitted
from labeling.services.writing import Writing
from tests.labeling.conftest import People
from tests.labeling.writing.conftest import few_shot, write


def test_a_written_prompt_becomes_a_prompt_of_its_author_and_fills_the_slot(people: People, ask: Any) -> None:
    task = ask()[0]
    written = write(task, people.labeler)
    prompt = Prompt.objects.get()
    assert (prompt.source, prompt.author, prompt.text) == ("labeler", people.labeler, "Name three rivers of Asia.")
    assert (prompt.use_case, prompt.language) == ("open_qa", "en")
    assert prompt.split == prompts.split_of_author(people.labeler)
    assert written.slot == Slot.objects.get(task=task, state="done", holder=people.labeler)


def test_all_prompts_of_one_author_lie_in_one_split(people: People, ask: Any) -> None:
    for number, task in enumerate(ask(num_tasks=12)):
        write(task, people.labeler, f"Prompt number {number}")
    assert Prompt.objects.values("split").distinct().count() == 1


def test_authors_are_spread_over_the_splits(people: People) -> None:
    people_ = [type(people.labeler)(email=f"{number}@example.org") for number in range(400)]
    splits = [prompts.split_of_author(person) for person in people_]
    assert 320 < splits.count("train") < 390
    assert splits.count("valid") > 5
    assert splits.count("test") > 5


def test_a_few_shot_prompt_is_one_message_in_the_documented_form(people: People, ask: Any) -> None:
    task = ask(style="few_shot")[0]
    writing.submit(task=task, labeler=people.labeler, idempotency_key="k", writing=few_shot())
    assert Prompt.objects.get().messages == [
        {
            "role": "user",
            "content": "Good or bad?\n\n"
            "Query: I love it\nResponse: good\n\n"
            "Query: Never again\nResponse: bad\n\n"
            "Query: It was fine\nResponse:",
        }
    ]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"instruction": "  "}, "instruction"),
        ({"query": ""}, "query"),
        ({"pairs": [{"query": "a", "response": "b"}]}, "pairs"),
        ({"pairs": [{"query": "a", "response": ""}, {"query": "b", "response": "c"}]}, "pair_1"),
        ({"instruction": "nul\0"}, "instruction"),
    ],
)
def test_what_a_few_shot_prompt_lacks_is_said_by_its_place(
    people: People, ask: Any, changes: dict[str, Any], place: str
) -> None:
    task = ask(style="few_shot")[0]
    with pytest.raises(AnswerError) as refused:
        writing.submit(task=task, labeler=people.labeler, idempotency_key="k", writing=few_shot(**changes))
    assert place in refused.value.errors
    assert not Prompt.objects.exists()
    assert not WrittenPrompt.objects.exists()


def test_use_case_and_language_are_the_writers_only_where_the_brief_leaves_them_open(people: People, ask: Any) -> None:
    fixed, open_ = ask()[0], ask(use_case="", language="")[0]
    write(fixed, people.labeler, "One", use_case="chat", language="fr")
    write(open_, people.labeler, "Deux", use_case="chat", language="fr")
    assert set(Prompt.objects.values_list("use_case", "language")) == {("open_qa", "en"), ("chat", "fr")}
    with pytest.raises(AnswerError) as refused:
        write(ask(use_case="")[0], people.labeler, "Three")
    assert "use_case" in refused.value.errors


def test_the_same_key_twice_is_one_prompt(people: People, ask: Any) -> None:
    task = ask()[0]
    assert write(task, people.labeler, key="k") == write(task, people.labeler, key="k")
    assert WrittenPrompt.objects.count() == Prompt.objects.count() == 1


def test_another_persons_key_is_refused(people: People, ask: Any) -> None:
    one, two = ask(num_tasks=2)
    write(one, people.labeler, key="k")
    with pytest.raises(AnswerError, match="another submission"):
        write(two, people.labeler2, "Other", key="k")


def test_a_second_prompt_for_the_same_task_is_not_taken(people: People, ask: Any) -> None:
    task = ask(num_wanted=2)[0]
    write(task, people.labeler, "One")
    with pytest.raises(AlreadySubmitted):
        write(task, people.labeler, "Two")
    assert Prompt.objects.count() == 1


def test_an_exact_duplicate_is_refused_and_named(people: People, ask: Any, make_prompt: Any) -> None:
    task = ask()[0]
    prompts.add(project=people.project, messages=[{"role": "user", "content": "Here already"}], author=None)
    with pytest.raises(AnswerError, match="exactly this prompt"):
        write(task, people.labeler, "Here already")
    assert not WrittenPrompt.objects.exists()
    assert Slot.objects.get(task=task).state == "open"


def test_a_prompt_beyond_the_wanted_number_is_kept_as_surplus(people: People, ask: Any) -> None:
    task = ask()[0]
    write(task, people.labeler, "One")
    assert write(task, people.labeler2, "Two").slot is None


def test_each_labeler_writes_once_per_task_and_never_labels_their_own_prompt(people: People, ask: Any) -> None:
    from labeling.services import asking

    first, second = ask(num_tasks=2)
    write(first, people.labeler)
    slot = assignments.claim(project=people.project, labeler=people.labeler, kinds=["write_prompt"])
    assert slot.task == second  # type: ignore[union-attr]
    asking.ask_for_annotations(project=people.project, prompts=Prompt.objects.all(), user=people.manager)
    mine = assignments.claim(project=people.project, labeler=people.labeler, kinds=["annotate"])
    assert isinstance(mine, Nothing)
    assert isinstance(assignments.claim(project=people.project, labeler=people.labeler2, kinds=["annotate"]), Slot)


def test_surplus_writers_do_not_get_the_task_again(people: People, ask: Any) -> None:
    from labeling.services import tasks

    task = ask()[0]
    write(task, people.labeler, "One")
    write(task, people.labeler2, "Two")
    tasks.set_num_wanted(task=task, num_wanted=2)
    found = assignments.claim(project=people.project, labeler=people.labeler2, kinds=["write_prompt"])
    assert isinstance(found, Nothing)


def test_a_brief_in_a_language_goes_only_to_those_who_read_it(people: People, ask: Any) -> None:
    ask(language="de")
    people.labeler.languages = ["en"]
    people.labeler.save()
    found = assignments.claim(project=people.project, labeler=people.labeler, kinds=["write_prompt"])
    assert isinstance(found, Nothing)
    assert isinstance(assignments.claim(project=people.project, labeler=people.labeler2, kinds=["write_prompt"]), Slot)


def test_a_revision_is_a_new_prompt_and_retires_the_one_before(people: People, ask: Any) -> None:
    written = write(ask()[0], people.labeler, "One")
    revised = writing.revise(
        written=written, labeler=people.labeler, idempotency_key="r", writing=Writing(instruction="Two")
    )
    assert not revised.earlier_stays
    assert (revised.written.revision, revised.written.replaces) == (2, written)
    assert revised.written.slot == written.slot
    assert dict(Prompt.objects.values_list("text", "is_retired")) == {"One": True, "Two": False}


def test_a_revision_leaves_the_prompt_that_others_built_on(people: People, ask: Any) -> None:
    written = write(ask()[0], people.labeler, "One")
    model = people.project.models.create(name="lab", kind="external")
    Response.objects.create(prompt=written.prompt, model=model, sample_index=0, text="x", num_chars=1)
    revised = writing.revise(
        written=written, labeler=people.labeler, idempotency_key="r", writing=Writing(instruction="Two")
    )
    assert revised.earlier_stays
    assert not Prompt.objects.filter(is_retired=True).exists()


def test_the_same_words_under_another_use_case_stay_the_same_prompt(people: People, ask: Any) -> None:
    written = write(ask(use_case="")[0], people.labeler, "One", use_case="chat")
    again = Writing(instruction="One", use_case="rewrite")
    writing.revise(written=written, labeler=people.labeler, idempotency_key="r", writing=again)
    assert list(Prompt.objects.values_list("use_case", flat=True)) == ["rewrite"]
    assert WrittenPrompt.objects.count() == 1


def test_only_ones_own_last_prompts_can_be_changed(people: People, ask: Any) -> None:
    written = write(ask()[0], people.labeler, "One")
    with pytest.raises(AnswerError):
        writing.revise(written=written, labeler=people.labeler2, idempotency_key="r", writing=Writing(instruction="x"))
    writing.revise(written=written, labeler=people.labeler, idempotency_key="a", writing=Writing(instruction="Two"))
    with pytest.raises(AlreadySubmitted):  # another window still shows the first revision
        writing.revise(written=written, labeler=people.labeler, idempotency_key="b", writing=Writing(instruction="3"))


def test_a_draft_is_forgotten_when_the_prompt_is_sent(people: People, ask: Any) -> None:
    task = ask()[0]
    Draft.objects.create(task=task, labeler=people.labeler, payload={"instruction": "half"})
    write(task, people.labeler)
    assert not Draft.objects.exists()


def test_hints_tell_near_duplicates_and_personal_data_but_not_ones_own_earlier_prompt(people: People, ask: Any) -> None:
    text = "Write a letter to the landlord about the broken heating. " * 5
    written = write(ask()[0], people.labeler, text)
    near = Writing(instruction=text + " Please.")
    assert writing.hints(project=people.project, writing=near) == [
        "Another prompt of this project begins almost the same way. Change it if you can."
    ]
    assert writing.hints(project=people.project, writing=near, besides=written.prompt) == []
    found = writing.hints(project=people.project, writing=Writing(instruction="Write to anna.b@corp.io"))
    assert found == ["This looks like personal data: e-mail. Invented details are better."]


def test_kinds_of_personal_data_are_kept_with_the_prompt(people: People, ask: Any) -> None:
    write(ask()[0], people.labeler, "Write to anna.b@corp.io")
    assert Prompt.objects.get().personal_data == ["e-mail"]


def test_asking_makes_one_task_per_prompt_with_a_slot_per_person(people: People, ask: Any) -> None:
    made = ask(num_tasks=3, num_wanted=2)
    assert len(made) == Task.objects.filter(kind="write_prompt").count() == 3
    assert Slot.objects.filter(kind="write_prompt", state="open").count() == 6
