"""Reports that cost seconds are kept until something they are made from has changed; in huge projects a job makes them.

The key holds the number of rankings that count, in steps of a hundredth: while few are there every new one makes the
report anew, and in a large project one more ranking changes nothing that one could see. A report says when it was made.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any

from django.core.cache import cache
from django.utils import timezone

from labeling.models import Project, Ranking, RankingVoid
from labeling.services import agreement, bell, bias, by_model, leaderboard
from labeling.services.agreement import Scope, by_group

MAKERS: Mapping[str, Callable[[Project, Scope], Any]] = {
    "agreement": agreement.report,
    "agreement_by_group": by_group.report,
    "biases": bias.report,
    "by_model": by_model.report,
    **{f"leaderboard-{method}": partial(leaderboard.board, method=method) for method in leaderboard.METHODS},
}
SECONDS = 6 * 3600
ASKED_SECONDS = 600  # after which a job that died is asked for again
VERSION = 3  # a report of another version would not fit its page: count up with every change of its fields
STEPS = 100
NOTHING_ASKED: tuple[datetime | None, list[tuple[str, Scope]]] = (None, [])
MAX_AT_ONCE = 50_000  # rankings; more take longer than the second that a page may


def get(name: str, project: Project, scope: Scope) -> Any | None:
    """The report; None while a job is making it."""
    num = num_counted(project)
    key = _key(name, project, scope, num)
    found = cache.get(key)
    if found is None and num > MAX_AT_ONCE:
        _ask(name, project, scope)
    elif found is None:
        found = MAKERS[name](project, scope)
        cache.set(key, found, SECONDS)
    return found


def make_asked(project_id: int) -> None:
    """What pages wait for. The list lies in the cache: if it is lost, the page asks again."""
    project = Project.objects.get(pk=project_id)
    for name, scope in cache.get(_asked_key(project), NOTHING_ASKED)[1]:
        cache.set(_key(name, project, scope, num_counted(project)), MAKERS[name](project, scope), SECONDS)
    cache.delete(_asked_key(project))


def forget(name: str, project: Project, scope: Scope) -> None:
    """So that the next one who asks gets it made anew: languages and use cases may have been edited."""
    cache.delete(_key(name, project, scope, num_counted(project)))


def asked_at(project: Project) -> datetime | None:
    """When a job was last asked for a report that is not there yet."""
    when: datetime | None = cache.get(_asked_key(project), NOTHING_ASKED)[0]
    return when


def num_counted(project: Project) -> int:
    return Ranking.objects.counted().filter(task__project=project).count()


def _ask(name: str, project: Project, scope: Scope) -> None:
    _, asked = cache.get(_asked_key(project), NOTHING_ASKED)
    if (name, scope) not in asked:
        cache.set(_asked_key(project), (timezone.now(), [*asked, (name, scope)]), ASKED_SECONDS)
        bell.ring("make_reports", project.pk)


def _asked_key(project: Project) -> str:
    return f"reports-asked:{VERSION}:{project.pk}"


def _key(name: str, project: Project, scope: Scope, num: int) -> str:
    num_void = RankingVoid.objects.filter(ranking__task__project=project).count()
    step = num - num % max(1, num // STEPS)
    hashed = sha256(str(scope).encode()).hexdigest()[:16]  # any text is allowed in a scope, but not in a key
    return f"report:{name}:{VERSION}:{project.pk}:{step}:{num_void}:{hashed}"
