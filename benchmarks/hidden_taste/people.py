"""The demo project with scripted labelers: they take whatever the floor hands out and rank it by their taste."""

import random
from typing import TYPE_CHECKING, Final

from .taste import ranks

if TYPE_CHECKING:
    from labeling.models import Project, Slot, User

NAMES: Final = ("Fay", "Gus", "Hal")
NUM_HELD_OUT: Final = 60
KINDS: Final = ("rank", "compare")
ASKS: Final = (
    "Tell me about the {}.",
    "What did {} do today?",
    "Write two sentences about {}.",
    "Say something to {}.",
)
ABOUT: Final = (
    "river", "hill", "market", "garden", "station", "school", "barn", "church", "Anna", "Ben", "Clara", "David", "Emma",
    "Felix", "Greta",
)  # fmt: skip


def demo_project() -> "tuple[Project, User, list[User]]":
    """The demo as `make up` seeds it, its manager, and scripted labelers besides its own people."""
    from labeling.models import Membership, Project, Role, User
    from labeling.services import demo, prompts

    demo.seed()
    project = Project.objects.get(slug=demo.SLUG)
    manager = User.objects.get(email=f"manager@{demo.DOMAIN}")
    labelers = [User.objects.create_user(f"{name.lower()}@bench.example", None, name=name) for name in NAMES]
    for labeler in labelers:
        Membership.objects.create(project=project, user=labeler, role=Role.LABELER)
    held_out = [ask.format(thing) for ask in ASKS for thing in ABOUT][:NUM_HELD_OUT]
    for number, text in enumerate(held_out):
        prompts.add(
            project=project,
            messages=[{"role": "user", "content": text}],
            author=None,
            source="customer",
            customer=f"held-out-{number}",
            split="valid",
        )
    return project, manager, labelers


def answer_everything(project: "Project", labelers: "list[User]") -> int:
    """Each labeler in turn takes a task and answers it, until the floor has none for anybody. Returns how many."""
    num, waiting, lot = 0, list(labelers), random.Random(1)
    while waiting:
        labeler = lot.choice(waiting)
        if not _answer_one(project, labeler):
            waiting.remove(labeler)
        else:
            num += 1
    return num


def _answer_one(project: "Project", labeler: "User") -> bool:
    from labeling.models import Slot
    from labeling.services import assignments

    slot = assignments.claim(project=project, labeler=labeler, kinds=KINDS)
    if not isinstance(slot, Slot):
        return False
    _rank(slot, labeler)
    return True


def _rank(slot: "Slot", labeler: "User") -> None:
    from labeling.services import assignments, rankings
    from labeling.services.answers import Answer

    task = slot.task
    texts = {place.position: place.response.text for place in task.task_responses.select_related("response")}
    shown = assignments.shown_order(task=task, labeler=labeler)
    guideline = task.project.current_guideline()
    answer = Answer(
        ranks=ranks([texts[position] for position in shown], who=labeler.name),
        ratings=_ratings(len(shown)) if task.rate_first else (),
        guideline_version=guideline.version if guideline else None,
    )
    rankings.submit(task=task, labeler=labeler, idempotency_key=f"{task.pk}-{labeler.pk}", answer=answer)


def _ratings(num: int) -> list[int]:
    return [4] * num
