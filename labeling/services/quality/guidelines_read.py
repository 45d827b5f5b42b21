"""Who has read which version of the guidelines. Where the project says so, nobody gets work before the current one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from typing import Final, Literal

from labeling.models import Guideline, GuidelineReading, Membership, Project, User
from labeling.services.quality import standing

CONTEXT_LINES: Final = 2  # unchanged lines shown around a change
_NEVER: Final[tuple[int | None, datetime | None]] = (None, None)


@dataclass(frozen=True)
class Line:
    """One line of what changed. `gap` stands for lines that stayed as they were."""

    kind: Literal["same", "added", "removed", "gap"]
    text: str = ""


@dataclass(frozen=True)
class Reader:
    membership: Membership
    version: int | None  # the newest they have read
    read_at: datetime | None
    is_current: bool


def is_due(*, project: Project, labeler: User) -> bool:
    """Whether this person must read before they get work. Asks nothing where the project does not want it."""
    return project.must_read_guidelines and standing.of(project, labeler).must_read


def confirm(*, project: Project, labeler: User, version: int) -> bool:
    """“I have read this.” False if another version holds meanwhile: that one has to be read."""
    current = project.current_guideline()
    if current is None or current.version != version:
        return False
    GuidelineReading.objects.get_or_create(guideline=current, user=labeler)
    return True


def last_read(*, project: Project, labeler: User) -> Guideline | None:
    read = Guideline.objects.filter(project=project, readings__user=labeler)
    return read.order_by("-version").first()


def changes(*, old: str, new: str) -> list[Line]:
    """Line by line what is new and what is gone, with a little of what stands around it."""
    before, after = old.splitlines(), new.splitlines()
    found: list[Line] = []
    for step, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if step == "equal":
            found += _around(before[a:b], is_first=a == 0, is_last=b == len(before) and d == len(after))
        else:
            found += [Line("removed", text) for text in before[a:b]] + [Line("added", text) for text in after[c:d]]
    return found if any(line.kind in ("added", "removed") for line in found) else []


def readers(*, project: Project) -> Iterator[Reader]:
    """Each member with the newest version they have read; who has read least comes first."""
    current = project.current_guideline()
    newest: dict[int, tuple[int | None, datetime | None]] = {}
    readings = GuidelineReading.objects.filter(guideline__project=project).order_by("guideline__version")
    for reading in readings.select_related("guideline"):
        newest[reading.user_id] = (reading.guideline.version, reading.read_at)
    members = project.memberships.filter(is_active=True).select_related("user").order_by("user__name", "user__email")
    for membership in sorted(members, key=lambda member: newest.get(member.user_id, _NEVER)[0] or 0):
        version, read_at = newest.get(membership.user_id, _NEVER)
        yield Reader(membership, version, read_at, is_current=bool(current and version == current.version))


def _around(lines: Sequence[str], *, is_first: bool, is_last: bool) -> list[Line]:
    head, tail = 0 if is_first else CONTEXT_LINES, 0 if is_last else CONTEXT_LINES
    if len(lines) <= head + tail:
        return [Line("same", text) for text in lines]
    before = [Line("same", text) for text in lines[:head]]
    after = [Line("same", text) for text in (lines[len(lines) - tail :] if tail else [])]
    return [*before, Line("gap"), *after]
