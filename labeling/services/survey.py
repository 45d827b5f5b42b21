"""The survey of labelers: optional, about the work and about the person (InstructGPT, appendix B, tables 12 and 13).

Managers read counts alone, and only where enough people answered that a count tells of nobody.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models.functions import Now

from labeling.models import Project, SurveyAnswer, User

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
    """One question's counts. `choices` is None where too few people answered to show any."""

    question: Question
    num_people: int
    choices: list[tuple[str, int]] | None


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


def counts(*, project: Project, kind: str) -> list[Counts]:
    given = list(SurveyAnswer.objects.filter(project=project, kind=kind).values_list("answers", flat=True))
    return [_count(question, given) for question in QUESTIONS[kind]]


def _count(question: Question, given: list[dict[str, str]]) -> Counts:
    said = [choice for answers in given if (choice := answers.get(question.name))]
    if len(said) < MIN_PEOPLE:
        return Counts(question, len(said), None)
    found = Counter(said)
    return Counts(question, len(said), [(choice, found[choice]) for choice in question.choices])
