"""The order of tests. With `--dist worksteal` each worker begins with an even share of the list, and whoever is done
takes from the end of another's."""

from collections.abc import Sequence
from itertools import groupby

import pytest


def dealt(items: Sequence[pytest.Item], num_workers: int) -> list[pytest.Item]:
    """Each worker's share begins with slow tests. Those of one file stay together, for they share fixtures."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    rest = [item for item in items if not item.get_closest_marker("slow")]
    hands: list[list[pytest.Item]] = [[] for _ in range(num_workers)]
    for number, (_, of_a_file) in enumerate(groupby(slow, key=lambda item: item.path)):
        hands[number % num_workers].extend(of_a_file)
    found: list[pytest.Item] = []
    for number, hand in enumerate(hands, start=1):
        found += hand
        num_more = max(0, len(items) * number // num_workers - len(found))
        found, rest = [*found, *rest[:num_more]], rest[num_more:]
    return found
