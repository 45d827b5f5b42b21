"""Prompts from before something was looked for, looked through again: personal data, languages, use cases.

Each prompt keeps what it was looked through for, and by which means: so a look that was cut short goes on where it was,
another one finds nothing left to do, and after Presidio or Lingua was switched on there is something to do again. A
language or a use case that is there already is never changed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from labeling.models import Project, Prompt, PromptLook, UseCase, User
from labeling.services import bell, locks, personal_data, suggestions

PARTS: Final = {"personal_data": "Personal data", "language": "Languages", "use_case": "Use cases"}
BATCH: Final = 200  # prompts in one transaction
State = PromptLook.State


def lacking(*, project: Project, parts: Sequence[str]) -> QuerySet[Prompt]:
    """Those that were not looked through for all of these."""
    return Prompt.objects.filter(project=project).exclude(looked_for__contains=_marks(parts))


def start(*, project: Project, parts: Sequence[str], by: User | None) -> PromptLook | None:
    """Have a job do it. None if one is at it already."""
    try:
        with transaction.atomic():
            look = PromptLook.objects.create(project=project, parts=list(parts), asked_by=by)
            transaction.on_commit(lambda: bell.ring("look_through_prompts", look.pk))
    except IntegrityError:
        return None
    return look


def run(look_id: int) -> PromptLook:
    """What the job and the command do. Harmless when delivered twice: one at a time looks, and each batch is kept."""
    with locks.alone(locks.Kind.LOOK, look_id) as is_alone:
        while is_alone and _look_at_some(look_id):
            pass
    return PromptLook.objects.get(pk=look_id)


def sweep() -> None:
    """Ring for every look that should run: where a worker is at it already, the new one leaves it alone."""
    for look_id in PromptLook.objects.filter(state=State.RUNNING).values_list("pk", flat=True):
        bell.ring("look_through_prompts", look_id)


@transaction.atomic
def _look_at_some(look_id: int) -> bool:
    """The next prompts, and the count of what was found, or nothing. False when there is nothing left."""
    look = PromptLook.objects.select_for_update().select_related("project").get(pk=look_id)
    if look.state != State.RUNNING:
        return False
    rest = lacking(project=look.project, parts=look.parts).filter(pk__gt=look.last_prompt)
    prompts = list(rest.order_by("pk").select_for_update()[:BATCH])
    if not prompts:
        PromptLook.objects.filter(pk=look.pk).update(state=State.DONE, finished_at=Now())
        return False
    found: Counter[tuple[str, str]] = Counter()
    for prompt in prompts:
        found.update(_look_at(prompt, look.parts))
    Prompt.objects.bulk_update(prompts, ["personal_data", "language", "use_case", "looked_for"])
    for (part, kind), num in found.items():
        of_part = look.counts.setdefault(part, {})
        of_part[kind] = of_part.get(kind, 0) + num
    look.num_looked, look.last_prompt = look.num_looked + len(prompts), prompts[-1].pk
    look.save(update_fields=["counts", "num_looked", "last_prompt"])
    return True


def _look_at(prompt: Prompt, parts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Fills in what can be told; what was found, as (part, kind)."""
    if "personal_data" in parts:
        prompt.personal_data = personal_data.find(prompt.text)
        yield from (("personal_data", kind) for kind in prompt.personal_data)
    if "language" in parts and not prompt.language and (told := suggestions.language_of(prompt.text)):
        prompt.language = told
        yield "language", told
    if "use_case" in parts and prompt.use_case == UseCase.OTHER and (told := suggestions.use_case_of(prompt.messages)):
        prompt.use_case = told
        yield "use_case", told
    prompt.looked_for = sorted({*prompt.looked_for, *_marks(parts)})


def _marks(parts: Sequence[str]) -> list[str]:
    means = {"personal_data": settings.PERSONAL_DATA, "language": settings.LANGUAGE_DETECTION, "use_case": "rules"}
    return [f"{part}:{means[part]}" for part in parts]
