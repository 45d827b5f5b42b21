"""The tick lists of near duplicates and of suggestions."""

import uuid

from django.http import QueryDict

MAX_TICKED = 1_000


def uids(post: QueryDict, name: str) -> list[uuid.UUID]:
    """What is ticked and is a public id."""
    found = []
    for given in post.getlist(name)[:MAX_TICKED]:
        try:
            found.append(uuid.UUID(given))
        except ValueError:
            continue
    return found


def taken_suggestions(post: QueryDict) -> list[tuple[str, str, str]]:
    """(public id, use case, language) of the ticked rows."""
    return [(str(uid), post.get(f"use_case_{uid}", ""), post.get(f"language_{uid}", "")) for uid in uids(post, "take")]
