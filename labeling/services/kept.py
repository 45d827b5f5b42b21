"""Reports that cost seconds are kept until something they are made from has changed.

The key holds the number of rankings that count, in steps of a hundredth: while few are there every new one makes the
report anew, and in a large project one more ranking changes nothing that one could see. A report says when it was made.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar, cast

from django.core.cache import cache

from labeling.models import Project, Ranking, RankingVoid

SECONDS = 6 * 3600
VERSION = 1  # a report of another version would not fit its page: count up with every change of its fields
STEPS = 100
R = TypeVar("R")


def get(name: str, project: Project, *, scope: object, make: Callable[[], R]) -> R:
    return cast(R, cache.get_or_set(key(name, project, scope), make, SECONDS))


def forget(name: str, project: Project, *, scope: object) -> None:
    """So that the next one who asks gets it made anew: languages and use cases may have been edited."""
    cache.delete(key(name, project, scope))


def key(name: str, project: Project, scope: object) -> str:
    num = Ranking.objects.counted().filter(task__project=project).count()
    num_void = RankingVoid.objects.filter(ranking__task__project=project).count()
    newest = num - num % max(1, num // STEPS)
    return f"{name}:{VERSION}:{project.pk}:{newest}:{num_void}:{_hashed(str(scope))}"


def _hashed(text: str) -> str:
    """Any text is allowed in a scope, but not in a key."""
    return sha256(text.encode()).hexdigest()[:16]
