"""The demo project: our own prompts and responses, and three labelers who differ a little.

Everything goes through the services that people's work goes through, so that each page has something true to show.
"""

import json
import random
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from labeling.models import (
    Demonstration,
    Membership,
    Model,
    Project,
    Prompt,
    PromptSource,
    Response,
    Role,
    Task,
    User,
)
from labeling.services import assignments, demo_quality, projects, prompts, rankings, tasks
from labeling.services.answers import Answer, dense

FOLDER = settings.BASE_DIR / "labeling" / "demo"
SLUG = "demo"
DOMAIN = "podium.example"  # a domain that belongs to nobody, by RFC 2606
NUM_RANKED_BY_ALL = 18
NUM_RANKED_BY_TWO = 8
NUM_ASKED_TO_WRITE = 5


@dataclass(frozen=True)
class Taste:
    """How one of the three seeded labelers differs from the hidden quality, in points of 1 to 7."""

    name: str
    noise: float
    likes_long: float  # points per thousand characters
    tie_within: float


TASTES = (
    Taste("Ada", noise=0.8, likes_long=0.0, tie_within=0.45),
    Taste("Ben", noise=1.5, likes_long=0.9, tie_within=0.3),
    Taste("Chi", noise=1.2, likes_long=-0.6, tie_within=0.9),
)


@dataclass(frozen=True)
class LogIn:
    role: str
    email: str
    password: str


@transaction.atomic
def seed() -> list[LogIn]:
    """Make the demo project. Returns its log-ins, or nothing when it is there already."""
    if Project.objects.filter(slug=SLUG).exists():
        return []
    manager, log_in = _person("manager", Role.MANAGER)
    labeler, labeler_log_in = _person("labeler", Role.LABELER)
    project = _project(manager)
    Membership.objects.create(project=project, user=labeler, role=Role.LABELER)
    qualities = _prompts_with_responses(project)
    _demonstrations(project, labelers := _seeded_labelers(project))
    waiting = _waiting_prompts(project)
    made = _rankings(project, manager=manager, labelers=labelers, qualities=qualities)
    tasks.make_demonstration_tasks(project=project, prompts=waiting[:NUM_ASKED_TO_WRITE], user=manager)
    ranked = [task.prompt for task in made if task.prompt]
    demo_quality.other_work(project=project, waiting=waiting, ranked=ranked, manager=manager)
    _known_answers(made, manager=manager, labelers=labelers, qualities=qualities)
    demo_quality.reviews_of_what_is_unclear(project)
    return [log_in, labeler_log_in]


def _person(name: str, role: Role) -> tuple[User, LogIn]:
    password = secrets.token_urlsafe(9)
    user = User.objects.create_user(
        f"{name}@{DOMAIN}",
        password,
        name=f"Demo {name}",
        is_superuser=role == Role.MANAGER,
        is_staff=role == Role.MANAGER,
    )
    return user, LogIn(role.label, user.email, password)


def _project(manager: User) -> Project:
    project = projects.create(
        by=manager,
        slug=SLUG,
        name="Demo",
        description="Prompts and responses that Podium ships, to try everything on.",
        overlap=2,
        is_demo=True,
    )
    guideline = (FOLDER / "guideline.md").read_text(encoding="utf-8")
    projects.publish_guideline(project=project, text=guideline, by=manager)
    return project


def _seeded_labelers(project: Project) -> list[User]:
    labelers = []
    for taste in TASTES:
        user = User.objects.create_user(f"{taste.name.lower()}@{DOMAIN}", None, name=taste.name)
        Membership.objects.create(project=project, user=user, role=Role.LABELER)
        labelers.append(user)
    return labelers


def _lines(name: str) -> Iterator[dict[str, Any]]:
    with (FOLDER / name).open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)


def _prompt(project: Project, line: Mapping[str, Any]) -> Prompt:
    text = line["prompt"]
    return prompts.add(
        project=project,
        messages=text if isinstance(text, list) else [{"role": "user", "content": text}],
        author=None,
        source=PromptSource.CUSTOMER,
        use_case=line["use_case"],
        language=line["language"],
        customer=line["author"],
        external_id=line["id"],
        dataset="demo",
    )


def _prompts_with_responses(project: Project) -> dict[int, float]:
    """Returns the hidden quality of each response."""
    qualities: dict[int, float] = {}
    for line in _lines("prompts.jsonl"):
        prompt = _prompt(project, line)
        seen: dict[str, int] = defaultdict(int)
        for answer in line["responses"]:
            model, _ = Model.objects.get_or_create(project=project, name=answer["model"], kind=Model.Kind.EXTERNAL)
            response = Response.objects.create(
                prompt=prompt,
                model=model,
                sample_index=seen[model.name],
                text=answer["text"],
                num_chars=len(answer["text"]),
                finish_reason="stop",
            )
            seen[model.name] += 1
            qualities[response.pk] = answer["quality"]
    return qualities


def _waiting_prompts(project: Project) -> list[Prompt]:
    return [_prompt(project, line) for line in _lines("prompts_unranked.jsonl")]


def _demonstrations(project: Project, labelers: Sequence[User]) -> None:
    by_name = dict(enumerate(labelers, 1))
    for line in _lines("demonstrations.jsonl"):
        if "prompt_id" in line:
            prompt = Prompt.objects.get(project=project, external_id=line["prompt_id"])
        else:
            prompt = _prompt(project, line)
        labeler = by_name[int(line["labeler"].removeprefix("labeler_"))] if "labeler" in line else labelers[0]
        Demonstration.objects.create(
            prompt=prompt,
            labeler=labeler,
            text=line["demonstration"],
            guideline=project.current_guideline(),
            idempotency_key=f"{SLUG}:{line['id']}",
        )


def _known_answers(
    made: Sequence[Task], *, manager: User, labelers: Sequence[User], qualities: Mapping[int, float]
) -> None:
    """Of tasks that the seeded labelers did not rank."""
    tastes = {labeler.pk: taste for taste, labeler in zip(TASTES, labelers, strict=True)}

    def best(task: Task) -> list[int]:
        places = {place.position: place.response_id for place in task.task_responses.all()}
        return _ranks([qualities[places[position]] for position in sorted(places)], tie_within=0.2)

    def rank(task: Task, labeler: User) -> None:
        _rank(task, labeler=labeler, taste=tastes[labeler.pk], qualities=qualities)

    unseen = made[NUM_RANKED_BY_ALL + NUM_RANKED_BY_TWO :]
    known = demo_quality.known_answers(tasks=unseen, best=best, manager=manager)
    demo_quality.grade_labelers(known=known, labelers=labelers, rank=rank)


def _rankings(
    project: Project, *, manager: User, labelers: Sequence[User], qualities: Mapping[int, float]
) -> list[Task]:
    """Returns all ranking tasks, those that nobody ranked at the end."""
    made = _ranking_tasks(project, manager)
    for task in made[:NUM_RANKED_BY_ALL]:
        for taste, labeler in zip(TASTES, labelers, strict=True):
            _rank(task, labeler=labeler, taste=taste, qualities=qualities)
    for number, task in enumerate(made[NUM_RANKED_BY_ALL : NUM_RANKED_BY_ALL + NUM_RANKED_BY_TWO]):
        for index in {number % 3, (number + 1) % 3}:
            _rank(task, labeler=labelers[index], taste=TASTES[index], qualities=qualities)
    return made


def _ranking_tasks(project: Project, manager: User) -> list[Task]:
    """A task of all responses of each prompt, in an order that mixes the use cases."""
    by_size: dict[int, list[Prompt]] = defaultdict(list)
    for prompt in Prompt.objects.filter(project=project, responses__isnull=False).distinct().order_by("content_hash"):
        by_size[prompt.responses.count()].append(prompt)
    for size, members in sorted(by_size.items()):
        tasks.make_ranking_tasks(project=project, prompts=members, num_responses=size, num_wanted=3, user=manager)
    return list(Task.objects.filter(project=project, kind=Task.Kind.RANK).order_by("prompt__content_hash"))


def _rank(task: Task, *, labeler: User, taste: Taste, qualities: Mapping[int, float]) -> None:
    places = {place.position: place.response for place in task.task_responses.select_related("response__model")}
    scores = [
        _score(places[position], taste=taste, quality=qualities[places[position].pk])
        for position in assignments.shown_order(task=task, labeler=labeler)
    ]
    guideline = task.project.current_guideline()
    rankings.submit(
        task=task,
        labeler=labeler,
        idempotency_key=f"{SLUG}:{task.pk}:{taste.name}",
        answer=Answer(
            ranks=_ranks(scores, taste.tie_within),
            guideline_version=guideline.version if guideline else None,
            active_seconds=_reading_seconds(places.values()),
        ),
    )


def _reading_seconds(responses: Iterable[Response]) -> float:
    """About 25 characters a second, and some time to decide."""
    return round(sum(8 + response.num_chars / 25 for response in responses), 1)


def _score(response: Response, *, taste: Taste, quality: float) -> float:
    """The same for the same text at every seeding: chance goes by the response, not by where it was shown."""
    chance = random.Random(f"{response.text}:{taste.name}")  # noqa: S311  # no secret
    return quality + chance.gauss(0, taste.noise) + taste.likes_long * response.num_chars / 1000


def _ranks(scores: Sequence[float], tie_within: float) -> list[int]:
    """Rank 1 is the highest score; a score close to the one above shares its rank."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    ranks, rank = [0] * len(scores), 0
    for above, index in zip([None, *order], order, strict=False):
        rank += above is None or scores[above] - scores[index] > tie_within
        ranks[index] = rank
    return dense(ranks)
