"""The survey is optional and is read only as counts of five or more, released in steps of five or more."""

import random
from typing import Any

import pytest

from labeling.models import Membership, Role, SurveyAnswer, SurveyRelease, User
from labeling.services import survey, withdrawals
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
    assert (clear.num_people, clear.choices) == (0, None)
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
    assert "Fewer than 5 people have answered" in page
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


def shown(people: People) -> dict[str, int] | None:
    """What a manager reads of the question “clear”."""
    choices = survey.counts(project=people.project, kind="satisfaction")[0].choices
    return None if choices is None else dict(choices)


def test_the_sixth_answer_is_not_the_difference_of_two_views(people: People) -> None:
    users = crowd(people, 10)
    for user in users[:5]:
        say(people, user, clear="Agree")
    before = shown(people)
    for user in users[5:9]:
        say(people, user, clear="Strongly disagree")
        assert shown(people) == before
    say(people, users[9], clear="Disagree")
    after = shown(people)
    assert before
    assert after
    difference = {choice: after[choice] - before[choice] for choice in after}
    assert difference == {
        "Strongly agree": 0, "Agree": 0, "Neither": 0, "Disagree": 1, "Strongly disagree": 4,
    }  # fmt: skip


def test_who_changes_or_deletes_an_answer_is_not_the_difference_of_two_views(people: People) -> None:
    users = crowd(people, 10)
    for user in users[:5]:
        say(people, user, clear="Agree")
    before = shown(people)
    say(people, users[0], clear="Neither")
    survey.forget(project=people.project, user=users[1])
    withdrawals.withdraw(membership=users[2].memberships.get(), reason="asked", by=people.manager)
    assert shown(people) == before
    assert not SurveyAnswer.objects.filter(user__in=users[1:3]).exists()
    for user in (users[1], *users[5:9]):  # the first of them is nobody new
        say(people, user, clear="Strongly agree")
    assert shown(people) == before
    say(people, users[9], clear="Strongly agree")
    assert shown(people) == {
        "Strongly agree": 6, "Agree": 2, "Neither": 1, "Disagree": 0, "Strongly disagree": 0,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_no_two_views_ever_differ_by_fewer_than_five_people(people: People, seed: int) -> None:
    """Whoever reloads after every single thing that happens: people answer, change, delete, come back."""
    rng, users = random.Random(seed), crowd(people, 24)
    said: dict[int, str] = {}
    views: list[tuple[dict[str, int], dict[int, str]]] = []
    for _ in range(120):
        user = rng.choice(users)
        if user.pk in said and rng.random() < 0.3:
            survey.forget(project=people.project, user=user)
            said.pop(user.pk)
        else:
            said[user.pk] = rng.choice(survey.AGREEMENT)
            say(people, user, clear=said[user.pk])
        view = shown(people)
        if view is not None and (not views or view != views[-1][0]):
            views.append((view, dict(said)))
    assert len(views) >= 2
    for later, (counts, who) in enumerate(views):
        assert sum(counts.values()) == len(who) >= survey.MIN_PEOPLE
        for _, earlier_who in views[:later]:
            assert len(who.keys() - earlier_who.keys()) >= survey.MIN_PEOPLE


def test_a_release_keeps_no_answer_beside_a_person(people: People) -> None:
    users = crowd(people, 5)
    for user in users:
        say(people, user, clear="Agree")
    shown(people)
    release = SurveyRelease.objects.get(question="clear")
    assert (release.counts, release.counted) == ({"Agree": 5}, sorted(user.pk for user in users))


def test_nothing_is_chosen_for_somebody_who_has_said_nothing(people: People) -> None:
    page = as_(people.labeler).get("/p/tea/work/survey/").content.decode()
    assert survey.NOT_SAID in page
    assert " checked" not in page
    say(people, people.labeler, clear="Agree")
    assert as_(people.labeler).get("/p/tea/work/survey/").content.decode().count(" checked") == 1
