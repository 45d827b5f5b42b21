"""What a labeler sees of their own work. For themselves alone: no manager's page is made of it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.utils import timezone

from labeling.models import Project, Task, User
from labeling.services import work_done
from labeling.services.agreement.resampling import Figure
from labeling.services.quality import grades
from labeling.services.work_done import Day, Hours

DAYS: Final = 28
MIN_REPEATS: Final = 5


@dataclass(frozen=True)
class OwnStatistics:
    days: list[Day]
    today: Hours
    week: Hours
    all_time: Hours
    agreement_with_self: Figure | None

    @property
    def num_active_days(self) -> int:
        return sum(day.num > 0 for day in self.days)


def of(*, user: User, project: Project) -> OwnStatistics:
    today = timezone.localdate()
    return OwnStatistics(
        days=work_done.by_day(project, days=DAYS, labeler=user),
        today=work_done.hours(project, labeler=user, since=today),
        week=work_done.hours(project, labeler=user, since=today - timedelta(days=6)),
        all_time=work_done.hours(project, labeler=user),
        agreement_with_self=_agreement_with_self(user, project),
    )


def _agreement_with_self(user: User, project: Project) -> Figure | None:
    """Of weeks that are over, and of several repeats: a figure that moved at once would tell which task was one."""
    today = timezone.localdate()
    monday = today - timedelta(days=today.weekday())
    own = [
        item
        for item in grades.graded(project, labeler=user)
        if item.purpose == Task.Purpose.REPEAT and timezone.localdate(item.at) < monday
    ]
    return grades.figure(own, why_not="") if len(own) >= MIN_REPEATS else None
