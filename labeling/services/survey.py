"""The survey of labelers: optional, about the work and about the person (InstructGPT, appendix B, tables 12 and 13).

Managers read counts alone, as they stood at certain moments: a question's counts are released when five people have
answered it, and anew each time five more have who were in no release before. So any two releases differ by five people
or more, whoever changed or deleted their answer meanwhile: such changes show with the next release.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from labeling.models import Project, SurveyAnswer, SurveyRelease, User
from labeling.services import locks

MIN_PEOPLE: Final = 5
NOT_SAID: Final = "Prefer not to say"
AGREEMENT: Final = ["Strongly agree", "Agree", "Neither", "Disagree", "Strongly disagree"]


@dataclass(frozen=True)
class Question:
    name: str
    text: str
    choices: list[str]


QUESTIONS: Final[dict[str, list[Question]]] = {
    SurveyAnswer.Kind.SATISFACTION: [
        Question("clear", "It was clear what I was to do.", AGREEMENT),
        Question("enjoyable", "The work was enjoyable and held my attention.", AGREEMENT),
        Question("repetitive", "The work was repetitive.", AGREEMENT),
        Question("fair_pay", "The pay for the work is fair.", AGREEMENT),
        Question("glad", "All in all, I am glad to have done it.", AGREEMENT),
    ],
    SurveyAnswer.Kind.DEMOGRAPHICS: [
        Question("gender", "Gender", ["Male", "Female", "Nonbinary or other"]),
        Question(
            "ethnicity",
            "Ethnicity",
            [
                "Black or of African descent",
                "East Asian",
                "Indigenous",
                "Latin American",
                "Middle Eastern or North African",
                "South Asian",
                "Southeast Asian",
                "White",
                "Several, or another one",
            ],
        ),
        Question(
            "region",
            "Where I live",
            ["Africa", "Asia", "Europe", "Latin America", "North America", "Oceania"],
        ),
        Question("age", "Age", ["18 to 24", "25 to 34", "35 to 44", "45 to 54", "55 to 64", "65 or more"]),
        Question(
            "education",
            "Highest education",
            ["Less than secondary school", "Secondary school", "Bachelor's degree", "Master's degree", "Doctorate"],
        ),
    ],
}


@dataclass(frozen=True)
class Counts:
    """One question's counts as they were released. `choices` is None where too few people answered to show any."""

    question: Question
    num_people: int = 0
    choices: list[tuple[str, int]] | None = None
    released_at: datetime | None = None


class SurveyError(Exception):
    """The answer fits no question; the text is for the person."""


def answer(*, project: Project, user: User, kind: str, answers: Mapping[str, str]) -> SurveyAnswer:
    """Keep the answers in place of earlier ones. What is not said is not kept."""
    questions = {question.name: question for question in QUESTIONS[kind]}
    for name, choice in answers.items():
        if name not in questions or choice not in ["", NOT_SAID, *questions[name].choices]:
            raise SurveyError(f"“{choice}” is no answer to “{name}”.")
    said = {name: choice for name, choice in answers.items() if choice and choice != NOT_SAID}
    kept, _ = SurveyAnswer.objects.update_or_create(
        project=project, user=user, kind=kind, defaults={"answers": said, "answered_at": Now()}
    )
    return kept


def forget(*, project: Project, user: User) -> int:
    """Take back all that the person said of themselves here. How many answers there were."""
    return SurveyAnswer.objects.filter(project=project, user=user).delete()[0]


def own(*, project: Project, user: User) -> dict[str, dict[str, str]]:
    """What the person said before, by kind."""
    rows = SurveyAnswer.objects.filter(project=project, user=user)
    return {row.kind: row.answers for row in rows}


@transaction.atomic
def counts(*, project: Project, kind: str) -> list[Counts]:
    """What is released. Whoever looks first after five more have answered releases that."""
    locks.wait_turn(locks.Kind.SURVEY, project.pk)
    given = dict(SurveyAnswer.objects.filter(project=project, kind=kind).values_list("user", "answers"))
    releases = {row.question: row for row in SurveyRelease.objects.filter(project=project, kind=kind)}
    found = []
    for question in QUESTIONS[kind]:
        said = {user: answers[question.name] for user, answers in given.items() if question.name in answers}
        release = releases.get(question.name) or SurveyRelease(project=project, kind=kind, question=question.name)
        found.append(_counts(question, _released(release, said)))
    return found


def _released(release: SurveyRelease, said: Mapping[int, str]) -> SurveyRelease:
    counted = set(release.counted or ())
    new = said.keys() - counted
    if len(new) >= MIN_PEOPLE:
        release.counts, release.num_people = Counter(said.values()), len(said)
        release.counted, release.released_at = sorted(counted | new), timezone.now()
        release.save()
    return release


def _counts(question: Question, release: SurveyRelease) -> Counts:
    if release.pk is None:
        return Counts(question)
    choices = [(choice, release.counts.get(choice, 0)) for choice in question.choices]
    return Counts(question, release.num_people, choices, release.released_at)
