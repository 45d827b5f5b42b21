"""What to rank next: the prompts that promise most, always beside a random share that is reported apart.

The random share is drawn from all prompts and not from what is left over, so that it stands for them: an agreement or
accuracy of the chosen ones alone says nothing of the rest.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from django.db.models import QuerySet

from labeling.models import Prompt, Ranking, Task
from labeling.services.agreement import grading

TIES: Final = "half"
IN_ORDER: Final = "order"
RANDOM: Final = "random"
DISAGREEMENT: Final = "disagreement"


@dataclass(frozen=True)
class Choice:
    """A prompt that was chosen, how, and by which score."""

    prompt_id: int
    stream: Task.Stream
    score: float | None


def choose(
    prompts_with_scores: Mapping[int, float | None], *, num: int, random_percent: int, seed: int
) -> list[Choice]:
    """`num` prompts in the order in which to hand them out, both streams mixed evenly.

    `random_percent` of them (rounded, and at least one unless it is 0) by lot among all; the others by score, the
    highest first, those without a score last. The same arguments give the same choice.
    """
    if not 0 <= random_percent <= 100:
        raise ValueError(f"random_percent is a percentage, not {random_percent}")
    num = min(num, len(prompts_with_scores))
    num_random = min(num, max(round(num * random_percent / 100), 1 if random_percent else 0))
    lot = random.Random(seed)  # noqa: S311  # no secret
    drawn = lot.sample(sorted(prompts_with_scores), num_random)
    rest = [pk for pk in sorted(prompts_with_scores) if pk not in set(drawn)]
    lot.shuffle(rest)  # equal scores: by lot, and not the oldest first
    best = sorted(rest, key=lambda pk: _key(prompts_with_scores[pk]))[: num - num_random]
    active = [Choice(pk, Task.Stream.ACTIVE, prompts_with_scores[pk]) for pk in best]
    control = [Choice(pk, Task.Stream.RANDOM, prompts_with_scores[pk]) for pk in drawn]
    return _mixed(active, control)


def sample(prompts: QuerySet[Prompt], *, num: int, seed: int) -> list[Choice]:
    """A random sample of the prompts, marked as such."""
    ids = dict.fromkeys(prompts.values_list("pk", flat=True))
    return choose(ids, num=num, random_percent=100, seed=seed)


def disagreement(prompts: QuerySet[Prompt]) -> dict[int, float | None]:
    """A score without any model: the share of comparisons on which the labelers of a prompt differed; None: unknown."""
    found: dict[int, float | None] = dict.fromkeys(prompts.values_list("pk", flat=True))
    by_task: dict[tuple[int, int], list[Sequence[int]]] = defaultdict(list)
    rankings = Ranking.objects.counted().filter(task__prompt__in=prompts, task__num_wanted__gte=2)
    for prompt, task, ranks in rankings.values_list("task__prompt", "task", "ranks").iterator(chunk_size=5_000):
        by_task[prompt or 0, task].append(ranks)
    of_prompt: dict[int, list[tuple[Sequence[int], Sequence[int]]]] = defaultdict(list)
    for (prompt, _), given in by_task.items():
        of_prompt[prompt] += combinations(given, 2)
    for prompt, couples in of_prompt.items():
        share = grading.grade_all(couples, ties=TIES).share
        found[prompt] = None if share is None else 1 - share
    return found


def pick(prompts: QuerySet[Prompt], *, way: str, num: int | None, random_percent: int, seed: int) -> list[Choice]:
    """As a form asks for it: a random sample, or those on which labelers differed most beside a random share."""
    num = prompts.count() if num is None else num
    if way == RANDOM:
        return sample(prompts, num=num, seed=seed)
    return choose(disagreement(prompts), num=num, random_percent=random_percent, seed=seed)


def in_order(choices: Iterable[Choice]) -> list[Prompt]:
    """The chosen prompts in their order."""
    chosen = list(choices)
    rows = Prompt.objects.defer("text").in_bulk([choice.prompt_id for choice in chosen])
    return [rows[choice.prompt_id] for choice in chosen]


def _key(score: float | None) -> tuple[bool, float]:
    return (score is None, -(score or 0.0))


def _mixed(active: list[Choice], control: list[Choice]) -> list[Choice]:
    """Each stream keeps its order, and every beginning of the list holds both in nearly their ratio."""
    streams = [stream for stream in (active, control) if stream]
    places = [((index + 0.5) / len(stream), choice) for stream in streams for index, choice in enumerate(stream)]
    return [choice for _, choice in sorted(places, key=lambda place: place[0])]
