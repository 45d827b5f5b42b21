"""What the demo project has besides rankings: other kinds of work, known answers, and tasks for a reviewer."""

from collections.abc import Callable, Sequence
from typing import Final

from labeling.models import Model, Project, Prompt, PromptBrief, Task, UseCase, User
from labeling.services import asking
from labeling.services.quality import places, references, reviews

NUM_KNOWN: Final = 4
NUM_ASKED: Final = 4
REVIEW_BELOW_PERCENT: Final = 75

Rank = Callable[[Task, User], None]


def other_work(*, project: Project, waiting: Sequence[Prompt], ranked: Sequence[Prompt], manager: User) -> None:
    """Prompts to write in three ways, prompts to label, and two models to compare."""
    for brief in _briefs(project):
        asking.ask_for_prompts(brief=brief, user=manager, num_tasks=2)
    asking.ask_for_annotations(project=project, prompts=list(waiting[-NUM_ASKED:]), user=manager, num_wanted=2)
    one, other = Model.objects.filter(project=project).order_by("name")[:2]
    asking.ask_for_comparisons(
        project=project, prompts=list(ranked[-NUM_ASKED:]), user=manager, model=one, other=other, num_wanted=2
    )


def known_answers(*, tasks: Sequence[Task], best: Callable[[Task], list[int]], manager: User) -> list[Task]:
    """Copies of some tasks with a reference, by which labelers are graded."""
    made = [references.use_as_known_answer(task=task, user=manager) for task in tasks[:NUM_KNOWN]]
    for task in made:
        references.give(task=task, ranks=best(task), flags={}, note="By the quality that the demo hides.", user=manager)
    return made


def grade_labelers(*, known: Sequence[Task], labelers: Sequence[User], rank: Rank) -> None:
    """Each seeded labeler meets each known answer in their work."""
    for task in known:
        for labeler in labelers:
            places.hand(task=task, labeler=labeler)
            rank(task, labeler)


def reviews_of_what_is_unclear(project: Project) -> None:
    """Tasks on which the seeded labelers disagree go to a reviewer, now and from now on."""
    Project.objects.filter(pk=project.pk).update(review_below_percent=REVIEW_BELOW_PERCENT)
    for task in Task.objects.filter(project=project, kind=Task.Kind.RANK).select_related("project").order_by("pk"):
        reviews.consider(task=task)


def _briefs(project: Project) -> list[PromptBrief]:
    return [
        PromptBrief(project=project, style=PromptBrief.Style.PLAIN, text="Something you would really ask."),
        PromptBrief(project=project, style=PromptBrief.Style.FEW_SHOT, use_case=UseCase.CLASSIFICATION),
        PromptBrief(
            project=project,
            style=PromptBrief.Style.USER_BASED,
            use_case=UseCase.REWRITE,
            text="A small shop wants its product texts shorter and friendlier before they go on its web site.",
        ),
    ]
