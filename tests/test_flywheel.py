"""The whole loop with scripted labelers whose hidden preference is known: kind words over harsh ones.

prompts → demonstrations → SFT → responses → tasks → rankings → snapshot → reward model → PPO → new responses → new
tasks. The reward model must find the preference on prompts it never saw, and PPO must raise *the preference itself*,
not only the reward. Everything runs through the services and the real training processes.
"""

import random
import re
from collections.abc import Sequence
from typing import Any

import pytest

from labeling.models import (
    Demonstration,
    Membership,
    Model,
    Project,
    Prompt,
    Response,
    Role,
    Run,
    Slot,
    Snapshot,
    Task,
    User,
)
from labeling.services import assignments, prompts, rankings, runs, snapshots, tasks
from labeling.services.answers import Answer, dense

THINGS = (  # noqa: SIM905
    "dog cat hen fox bee cow owl pig tea cake soup rain snow wind sun moon sea lake hill road town farm door lamp"
    " chair table song game book ship train horse river garden window kitchen teacher brother sister neighbour"
).split()
ASKS = ("What do you think of the {}?", "Tell me about the {}.")
KIND = "I love the {0}. The {0} is good and kind."
HARSH = "I hate the {0}. The {0} is bad and ugly."
KIND_WORDS = re.compile(r"\b(love|good|kind)\b")
HARSH_WORDS = re.compile(r"\b(hate|bad|ugly)\b")
SLIP = 0.1  # how often a labeler's eye slips by one point on a response

LENGTHS = {"max_prompt_tokens": 64, "max_new_tokens": 56}
TRAINED_LENGTHS = {"max_prompt_tokens": 64, "max_response_tokens": 64}

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def preference(text: str) -> int:
    """What the labelers like: kind words count for a text, harsh ones against it."""
    return len(KIND_WORDS.findall(text)) - len(HARSH_WORDS.findall(text))


def test_rankings_of_a_hidden_preference_make_a_policy_that_has_more_of_it() -> None:
    project, labelers = a_project_with_people()
    ask_and_demonstrate(project, labelers[0])

    sft = trained(project, "sft", TRAINED_LENGTHS, {"dataset": frozen(project, "sft")}, init_model="tiny")
    first = responses_of(project, sft)
    made = ask_for_rankings(project, sft, labelers)
    for task in made:
        for labeler in labelers:
            rank(task, labeler)

    reward = trained(project, "reward", TRAINED_LENGTHS, {"init_model": sft, "dataset": frozen(project, "reward")})
    accuracy = held_out_accuracy(reward)
    assert accuracy["low"] > 0.5, f"pair accuracy on prompts never seen is {accuracy}"
    assert accuracy["value"] > 0.6, f"pair accuracy on prompts never seen is {accuracy}"

    inputs = {"policy_model": sft, "reward_model": reward, "prompts": frozen(project, "prompts")}
    policy = trained(project, "ppo", LENGTHS, inputs)
    second = responses_of(project, policy)
    assert mean(second) > mean(first) + 0.5, f"hidden preference went from {mean(first):.2f} to {mean(second):.2f}"
    assert policy.parent == sft

    again = ask_for_rankings(project, policy, labelers)
    assert again
    assert set(again).isdisjoint(made)
    assert isinstance(assignments.claim(project=project, labeler=labelers[0]), Slot)
    print(f"accuracy {accuracy}; hidden preference {mean(first):.2f} -> {mean(second):.2f}")  # noqa: T201


def a_project_with_people() -> tuple[Project, list[User]]:
    project = Project.objects.create(slug="kindness", name="Kindness", overlap=3)
    labelers = [User.objects.create_user(f"{name}@example.org", None) for name in ("ann", "bob", "cid")]
    for labeler in labelers:
        Membership.objects.create(project=project, user=labeler, role=Role.LABELER)
    return project, labelers


def ask_and_demonstrate(project: Project, writer: User) -> None:
    """Half of the demonstrations are kind and half are harsh: SFT learns both."""
    for number, thing in enumerate(THINGS):
        for turn, ask in enumerate(ASKS):
            prompt = prompts.add(
                project=project,
                messages=[{"role": "user", "content": ask.format(thing)}],
                author=None,
                source="customer",
                customer=f"customer-{number}",
                split="valid" if number % 5 == 4 else "train",
            )
            answer = (KIND, HARSH)[(number + turn) % 2].format(thing)
            Demonstration.objects.create(prompt=prompt, labeler=writer, text=answer, idempotency_key=f"{number}-{turn}")


def frozen(project: Project, kind: str) -> Snapshot:
    built = snapshots.build(snapshots.create(project=project, kind=kind, name=kind).pk)
    assert built is not None
    assert built.resolved.state == "ready", built.error
    return built.resolved


def finished(project: Project, stage: str, config: dict[str, Any], inputs: dict[str, Any]) -> Run:
    run = runs.create(project=project, stage=stage, config=config, inputs=inputs, user=None)
    runs.work(run.pk)
    run.refresh_from_db()
    assert run.state == "succeeded", run.error
    return run


def trained(project: Project, stage: str, config: dict[str, Any], inputs: dict[str, Any], **more: Any) -> Model:
    return Model.objects.get(run=finished(project, stage, config | more, inputs))


def responses_of(project: Project, model: Model) -> list[str]:
    """Four responses to each prompt, sampled by the product's own stage."""
    inputs = {"model": model, "prompts": frozen(project, "prompts")}
    finished(project, "generate", LENGTHS | {"num_responses": 4}, inputs)
    texts = list(Response.objects.filter(prompt__project=project, model=model).values_list("text", flat=True))
    assert len(texts) == 4 * Prompt.objects.filter(project=project).count()
    return texts


def ask_for_rankings(project: Project, model: Model, labelers: Sequence[User]) -> list[Task]:
    asked = tasks.make_ranking_tasks(
        project=project,
        prompts=Prompt.objects.filter(project=project),
        num_responses=4,
        num_wanted=len(labelers),
        user=labelers[0],
        model=model,
    )
    return list(Task.objects.filter(pk__in=asked.task_ids))


def rank(task: Task, labeler: User) -> None:
    """Rank by the hidden preference, with ties where it is equal and now and then a slip."""
    chance = random.Random(f"{task.prompt.text if task.prompt else ''} {labeler.email}")
    texts = {place.position: place.response.text for place in task.task_responses.select_related("response")}
    shown = assignments.shown_order(task=task, labeler=labeler)
    scores = [preference(texts[position]) + (chance.random() < SLIP) * chance.choice((-1, 1)) for position in shown]
    answer = Answer(ranks=dense([-score for score in scores]))
    rankings.submit(task=task, labeler=labeler, idempotency_key=f"{task.pk}-{labeler.pk}", answer=answer)


def held_out_accuracy(reward: Model) -> dict[str, float]:
    """Pair accuracy on the rankings of the valid split with its 95 % interval, as the stage reports it.

    The slips bound it: a labeler's eye slips on one response in ten, and most pairs are close.
    """
    assert reward.run is not None
    return dict(reward.run.result["report"]["accuracy"]["valid"])


def mean(texts: Sequence[str]) -> float:
    return sum(map(preference, texts)) / len(texts)
