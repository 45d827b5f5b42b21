"""Agreement among the labelers that train models, and among those who are held out."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from labeling.models import Project
from labeling.services.agreement.overall import Agreement, of_rankings
from labeling.services.agreement.scope import Scope, counted


@dataclass(frozen=True)
class ByGroup:
    made_at: datetime
    training: Agreement
    held_out: Agreement


def report(project: Project, scope: Scope) -> ByGroup:
    rankings = counted(project, scope)
    return ByGroup(
        made_at=timezone.now(),
        training=of_rankings(rankings.filter(labeler__is_held_out=False)),
        held_out=of_rankings(rankings.filter(labeler__is_held_out=True)),
    )
