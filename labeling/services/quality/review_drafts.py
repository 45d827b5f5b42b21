"""What a reviewer has not sent yet: kept as a labeler's draft of the task is, but only while the review is theirs.

A review has two steps, the blind ranking and the decision. Each has a draft of its own: one that another window saved
in the step before is not shown in the next.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from labeling.models import Review, User
from labeling.services import drafts
from labeling.services.drafts import DraftError
from labeling.services.quality import reviews

RANK: Final = "rank"
DECIDE: Final = "decide"


@dataclass(frozen=True)
class Unsent:
    """Empty where nothing of this step is kept; `version` is the one that the next save must outdo."""

    payload: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    saved_at: datetime | None = None


def step_of(*, review: Review, reviewer: User) -> str:
    return DECIDE if reviews.own_ranking(review=review, reviewer=reviewer) else RANK


def load(*, review: Review, reviewer: User, step: str) -> Unsent:
    found = drafts.load(task=review.task, labeler=reviewer)
    if found is None:
        return Unsent()
    if found.payload.get("step", RANK) != step:
        return Unsent(version=found.version)
    return Unsent(found.payload, found.version, found.saved_at)


def save(*, review: Review, reviewer: User, payload: dict[str, Any], version: int) -> bool:
    """False: something newer is kept. Saving holds the review longer; raises DraftError when it is not theirs."""
    if not reviews.hold_longer(review=review, reviewer=reviewer):
        raise DraftError("This review is not yours any more: somebody else took it, or it is decided.")
    return drafts.save(task=review.task, labeler=reviewer, payload=payload, version=version)
