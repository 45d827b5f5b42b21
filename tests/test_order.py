"""Long tests begin first, and no worker has them all."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.order import dealt


@dataclass(frozen=True)
class Item:
    path: str
    is_slow: bool = False

    def get_closest_marker(self, name: str) -> Any:
        return self.is_slow if name == "slow" else None


QUICK = [Item("a"), Item("b"), Item("c"), Item("d"), Item("e")]
ONE, OTHER, THIRD = ([Item(name, is_slow=True)] for name in ("one", "other", "third"))


@pytest.mark.parametrize("num_workers", [1, 2, 3, 20])
def test_every_test_is_dealt_once(num_workers: int) -> None:
    items: Any = [*QUICK, *ONE, *OTHER, *THIRD]
    assert sorted(dealt(items, num_workers), key=lambda item: item.path) == items


def test_each_share_begins_with_slow_tests_and_is_filled_up_with_quick_ones() -> None:
    items: Any = [*QUICK[:3], *ONE, *QUICK[3:], *OTHER, *THIRD]
    assert dealt(items, 2) == [*ONE, *THIRD, *QUICK[:2], *OTHER, *QUICK[2:]]


def test_slow_tests_of_one_file_stay_together() -> None:
    items: Any = [*QUICK[:2], *ONE * 3, *OTHER, *QUICK[2:]]
    assert dealt(items, 2) == [*ONE * 3, *QUICK[:1], *OTHER, *QUICK[1:]]
