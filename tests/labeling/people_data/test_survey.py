"""The survey is optional and is read only as counts of five or more."""

from typing import Any

import pytest

from labeling.models import Membership, Role, SurveyAnswer, User
from labeling.services import survey
from tests.labeling.conftest import People
from tests.labeling.people_data.conftest import as_


def say(people: People, user: User, **answers: str) -> SurveyAnswer:
    return survey.answer(project=people.project, user=user, kind="satisfaction", answers=answers)


def crowd(people: People, num: int) -> list[User]:
    users = [User.objects.create_user(f"p{number}@example.org", "a long password") for number in range(num)]
    for user in users:
        Membership.objects.create(project=people.project, user=user, role=Role.LABELER)
    return users


def test_an_answer_replaces_the_earlier_one_and_silence_is_not_kept(people: People) -> None:
    say(people, people.labeler, clear="Agree", glad="Disagree")
    say(people, people.labeler, clear="Neither", glad=survey.NOT_SAID)
    assert SurveyAnswer.objects.get().answers == {"clear": "Neither"}


@pytest.mark.parametrize("answers", [{"clear": "Perhaps"}, {"income": "Agree"}])
def test_what_fits_no_question_is_refused(people: People, answers: dict[str, str]) -> None:
    with pytest.raises(survey.SurveyError):
        say(people, people.labeler, **answers)
    assert not SurveyAnswer.objects.exists()


def test_counts_are_told_from_five_people_on(people: People) -> None:
    for user in crowd(people, 4):
        say(people, user, clear="Agree")
    clear = survey.counts(project=people.project, kind="satisfaction")[0]
    assert (clear.num_people, clear.choices) == (4, None)
    say(people, people.labeler, clear="Disagree")
    clear = survey.counts(project=people.project, kind="satisfaction")[0]
    assert dict(clear.choices or []) == {
        "Strongly agree": 0, "Agree": 4, "Neither": 0, "Disagree": 1, "Strongly disagree": 0,
    }  # fmt: skip


def test_a_question_that_few_answered_stays_closed_though_others_are_open(people: People) -> None:
    for number, user in enumerate(crowd(people, 5)):
        say(people, user, clear="Agree", **({"glad": "Agree"} if number < 4 else {}))
    by_name = {counts.question.name: counts for counts in survey.counts(project=people.project, kind="satisfaction")}
    assert by_name["clear"].choices is not None
    assert by_name["glad"].choices is None


def test_the_managers_page_names_nobody(people: People) -> None:
    say(people, people.labeler, clear="Strongly disagree")
    page = as_(people.manager).get("/p/tea/people/survey/").content.decode()
    assert "1 of 5 answers needed" in page
    assert "Lena" not in page
    assert "Strongly disagree" not in page


def test_a_labeler_answers_changes_and_deletes(people: People) -> None:
    client = as_(people.labeler)
    client.post("/p/tea/work/survey/", {"kind": "demographics", "age": "25 to 34", "gender": survey.NOT_SAID})
    assert SurveyAnswer.objects.get().answers == {"age": "25 to 34"}
    assert b"Delete my answers" in client.get("/p/tea/work/survey/").content
    client.post("/p/tea/work/survey/", {"action": "forget"})
    assert not SurveyAnswer.objects.exists()


def test_a_strange_kind_keeps_nothing(people: Any) -> None:
    as_(people.labeler).post("/p/tea/work/survey/", {"kind": "secrets", "age": "25 to 34"})
    assert not SurveyAnswer.objects.exists()
