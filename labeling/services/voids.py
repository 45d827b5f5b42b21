"""Taking a ranking out of every count, without touching it."""

from django.db import transaction

from labeling.models import Ranking, RankingVoid, User


@transaction.atomic
def void(*, ranking: Ranking, reason: str, user: User) -> bool:
    """False if it was void already. Its slot stays filled: raise the number wanted to have the task judged again."""
    _, is_new = RankingVoid.objects.get_or_create(ranking=ranking, defaults={"reason": reason, "voided_by": user})
    return is_new
