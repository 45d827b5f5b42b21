"""What people say of prompts: taken in once, counted by prompt."""

from typing import Any

import pytest

from labeling.models import PromptAnnotation, Slot, Withdrawal
from labeling.services import annotations, asking
from labeling.services.annotations import Annotation, LabelShare
from labeling.services.answers import AnswerError
from labeling.services.submissions import AlreadySubmitted
from tests.labeling.conftest import People
from tests.labeling.writing.conftest import label


def test_an_annotation_keeps_what_was_asked_and_fills_the_slot(people: People, ask_labels: Any) -> None:
    task = ask_labels()
    made = label(task, people.labeler, "Requests advice", "Ambiguous")
    assert made.labels == ["Ambiguous", "Requests advice"]
    assert made.asked == ["Ambiguous", "Closed domain", "Requests advice"]
    assert made.slot == Slot.objects.get(task=task, state="done")


def test_the_same_key_twice_is_one_annotation(people: People, ask_labels: Any) -> None:
    task = ask_labels()
    assert label(task, people.labeler, "Ambiguous", key="k") == label(task, people.labeler, "Ambiguous", key="k")
    with pytest.raises(AlreadySubmitted):
        label(task, people.labeler, "Closed domain")
    assert PromptAnnotation.objects.count() == 1


@pytest.mark.parametrize(
    "given", [Annotation(), Annotation(labels=["Nonsense"]), Annotation(labels=["Ambiguous"], is_none=True)]
)
def test_an_untouched_page_an_unknown_label_and_a_contradiction_are_no_answers(
    people: People, ask_labels: Any, given: Annotation
) -> None:
    with pytest.raises(AnswerError):
        annotations.submit(task=ask_labels(), labeler=people.labeler, idempotency_key="k", annotation=given)
    assert not PromptAnnotation.objects.exists()


def test_none_of_the_labels_is_an_answer(people: People, ask_labels: Any) -> None:
    assert label(ask_labels(), people.labeler).labels == []


def test_a_change_is_a_revision_by_the_labels_that_were_asked_then(people: People, ask_labels: Any) -> None:
    made = label(ask_labels(), people.labeler, "Ambiguous")
    people.project.prompt_labels = ["New"]
    people.project.save()
    again = annotations.revise(
        annotated=made, labeler=people.labeler, idempotency_key="r", annotation=Annotation(labels=["Closed domain"])
    )
    assert (again.revision, again.asked, again.slot) == (2, made.asked, made.slot)
    assert list(annotations.counted(project=people.project)) == [again]


def test_the_table_counts_prompts_where_at_least_half_say_so(people: People, ask_labels: Any) -> None:
    one, two = ask_labels("One", num_wanted=2), ask_labels("Two", num_wanted=2)
    label(one, people.labeler, "Ambiguous", "Closed domain")
    label(one, people.labeler2, "Closed domain")
    label(two, people.labeler, "Requests advice")
    label(two, people.labeler2)
    label(two, people.reviewer, "Ambiguous")  # surplus: kept, never counted
    assert annotations.shares(project=people.project) == [
        LabelShare("Ambiguous", 2, 1),
        LabelShare("Closed domain", 2, 1),
        LabelShare("Requests advice", 2, 1),
    ]
    assert annotations.of_prompt(one.prompt) == [
        ("Ambiguous", 1, 2),
        ("Closed domain", 2, 2),
        ("Requests advice", 0, 2),
    ]


def test_a_label_that_less_than_half_see_is_not_counted(people: People, ask_labels: Any) -> None:
    task = ask_labels(num_wanted=3)
    label(task, people.labeler, "Ambiguous")
    label(task, people.labeler2)
    label(task, people.reviewer)
    assert annotations.shares(project=people.project)[0] == LabelShare("Ambiguous", 1, 0)


def test_who_withdrew_is_not_counted(people: People, ask_labels: Any) -> None:
    label(ask_labels(), people.labeler, "Ambiguous")
    Withdrawal.objects.create(
        project=people.project, labeler=people.labeler, reason="asked", withdrawn_by=people.manager
    )
    assert annotations.shares(project=people.project)[0].num_asked == 0


def test_prompts_are_found_by_label(people: People, ask_labels: Any) -> None:
    one, two = ask_labels("One"), ask_labels("Two")
    label(one, people.labeler, "Ambiguous")
    label(two, people.labeler)
    found = people.project.prompts.filter(annotations.has_label(project=people.project, label="Ambiguous"))
    assert [prompt.text for prompt in found] == ["One"]


def test_a_prompt_is_asked_about_once_and_not_when_retired(people: People, ask_labels: Any, make_prompt: Any) -> None:
    task = ask_labels()
    retired = make_prompt("Old", k=0, is_retired=True)
    counts = asking.ask_for_annotations(project=people.project, prompts=[task.prompt, retired], user=people.manager)
    assert counts.num_made == 0
    assert len(counts.refused) == 2
