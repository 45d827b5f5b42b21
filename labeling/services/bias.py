"""What wins for reasons other than its worth: the place it was shown in, its length; each overall and by language.

Nothing here knows a model: labelers rank blind, and so do these figures. Intervals redraw whole tasks.

Shapes: R rankings, K responses, P pairs of responses, E entries of a table of sums.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from django.db.models import F
from django.utils import timezone

from labeling.models import Project, Task, TaskResponse
from labeling.services.agreement.judged import Ints
from labeling.services.agreement.reading import as_arrays
from labeling.services.agreement.resampling import Figure, Floats, Resamples, figures, ratio
from labeling.services.agreement.resampling import rows as rows_of
from labeling.services.agreement.scope import Scope, counted

CHUNK = 5_000
RATIOS = [1.0, 1.1, 1.25, 1.5, 2.0, 3.0]  # lower ends of the bins: the longer over the shorter
RATIO_LABELS = ["below 1.1 ×", "1.1 to 1.25 ×", "1.25 to 1.5 ×", "1.5 to 2 ×", "2 to 3 ×", "3 × and more"]
NOTHING = "nothing to count"


@dataclass(frozen=True)
class Effect:
    """How often something wins, what chance would give, and the difference. Intervals belong to the difference."""

    label: str
    share: Figure
    expected: float | None
    excess: Figure

    @property
    def is_clear(self) -> bool:
        """The interval leaves out zero."""
        low, high = self.excess.low, self.excess.high
        return low is not None and high is not None and (low > 0 or high < 0)

    def in_words(self, what: str) -> str:
        """“The first shown wins 3.1 points more often than chance, interval 0.2 to 6.0.”"""
        value, low, high = self.excess.value, self.excess.low, self.excess.high
        if value is None:
            return f"Nothing is known yet of how often {_small(what)} wins: {self.excess.why_not}."
        more = "more" if value >= 0 else "less"
        amount = f"{what} wins {abs(100 * value):.1f} points {more} often than chance"
        if low is None or high is None:
            return f"{amount}; one task is too few for an interval."
        interval = f"interval {_signed(low)} to {_signed(high)}"
        return f"{amount}, {interval}." if self.is_clear else f"No clear effect: {_small(amount)}, {interval}."


@dataclass(frozen=True)
class OfLanguage:
    language: str
    num_rankings: int
    first: Effect
    longer: Effect


@dataclass(frozen=True)
class Report:
    scope: Scope
    made_at: datetime
    num_rankings: int
    num_shown_here: int  # of these, the order in which people saw the responses is known
    num_tasks: int
    num_labelers: int
    places: list[Effect]  # first shown, second shown, …: how often it is ranked best
    earlier: Effect  # of two, the one shown earlier
    longer: Effect  # of two, the longer one
    ratios: list[Effect]  # the same by how much longer
    languages: list[OfLanguage]  # most rankings first


class Row(NamedTuple):
    task: int
    labeler: int
    ranks: Sequence[int]  # by position
    displayed: Sequence[int] | None  # positions in the order shown; None where nobody here saw them


@dataclass(frozen=True)
class Block:
    """Rankings of tasks of one K. Tasks are numbers from 0; ranks and lengths are by position."""

    task_R: Ints
    ranks_RK: Ints
    length_RK: Ints  # characters
    displayed_RK: Ints  # positions in the order shown
    is_shown_R: Any  # False: nobody here saw them

    def shown(self) -> "Block":
        here = self.is_shown_R
        return Block(
            self.task_R[here], self.ranks_RK[here], self.length_RK[here], self.displayed_RK[here], self.is_shown_R[here]
        )


@dataclass(frozen=True)
class Given:
    """All rankings of a report."""

    task_keys: Sequence[int]
    num_labelers: int
    blocks: Sequence[Block]


def report(project: Project, scope: Scope) -> Report:
    given = _given(project, scope)
    return of_given(given, languages=_languages(project, set(given.task_keys)), scope=scope)


def of_rows(
    rows: Sequence[Row], *, lengths: Mapping[int, Sequence[int]], languages: Mapping[int, str], scope: Scope
) -> Report:
    """`lengths` are characters by task and position."""
    keys = sorted({row.task for row in rows})
    blocks = []
    for size in sorted({len(row.ranks) for row in rows}):
        of_size = [row for row in rows if len(row.ranks) == size]
        block = Block(
            task_R=np.searchsorted(keys, [row.task for row in of_size]),
            ranks_RK=np.array([row.ranks for row in of_size], dtype=np.int64),
            length_RK=np.array([lengths[row.task] for row in of_size], dtype=np.int64),
            displayed_RK=np.array([row.displayed or range(size) for row in of_size], dtype=np.int64),
            is_shown_R=np.array([row.displayed is not None for row in of_size]),
        )
        blocks.append(block)
    return of_given(Given(keys, len({row.labeler for row in rows}), blocks), languages=languages, scope=scope)


def of_given(given: Given, *, languages: Mapping[int, str], scope: Scope) -> Report:
    num_tasks = len(given.task_keys)
    resamples = Resamples(num_tasks)
    shown = [block.shown() for block in given.blocks]
    places, longer = _joined(map(_place_entries, shown)), _joined(map(_longer_entries, given.blocks))
    num_places = int(places.group_E.max(initial=-1)) + 1
    task_R = np.concatenate([np.zeros(0, dtype=np.int64), *(block.task_R for block in given.blocks)])
    num_rankings_T = np.bincount(task_R, minlength=num_tasks)
    language_T = [languages.get(task, "") for task in given.task_keys]
    return Report(
        scope=scope,
        made_at=timezone.now(),
        num_rankings=int(num_rankings_T.sum()),
        num_shown_here=sum(len(block.task_R) for block in shown),
        num_tasks=num_tasks,
        num_labelers=given.num_labelers,
        places=_effects(places, [str(place) for place in range(1, num_places + 1)], resamples),
        earlier=_effects(_joined(map(_earlier_entries, shown)), [""], resamples)[0],
        longer=_effects(longer.as_one(), [""], resamples)[0],
        ratios=_effects(longer, RATIO_LABELS, resamples),
        languages=_by_language(places.only(places.group_E == 0), longer, language_T, num_rankings_T, resamples),
    )


def _by_language(
    first: "Entries", longer: "Entries", language_T: Sequence[str], num_rankings_T: Ints, resamples: Resamples
) -> list[OfLanguage]:
    num_rankings: Counter[str] = Counter()
    for language, num in zip(language_T, num_rankings_T.tolist(), strict=True):
        num_rankings[language] += num
    names = [name for name, _ in num_rankings.most_common()]
    number = {name: index for index, name in enumerate(names)}
    group_T = np.array([number[language] for language in language_T], dtype=np.int64)
    effects = (_effects(entries.grouped(group_T), names, resamples) for entries in (first, longer))
    return [
        OfLanguage(name, num_rankings[name], first=first_wins, longer=longer_wins)
        for name, first_wins, longer_wins in zip(names, *effects, strict=True)
    ]


@dataclass(frozen=True)
class Entries:
    """Wins, chances and cases of a task in a group."""

    task_E: Ints
    group_E: Ints
    won_E: Floats
    expected_E: Floats

    def only(self, is_in_E: Any) -> "Entries":
        return Entries(self.task_E[is_in_E], self.group_E[is_in_E], self.won_E[is_in_E], self.expected_E[is_in_E])

    def grouped(self, group_T: Ints) -> "Entries":
        return Entries(self.task_E, group_T[self.task_E], self.won_E, self.expected_E)

    def as_one(self) -> "Entries":
        return Entries(self.task_E, np.zeros_like(self.group_E), self.won_E, self.expected_E)


def _place_entries(block: Block) -> Entries:
    """Ranked best, by the place shown in; several best share the win. Chance is one in K."""
    shown_RK = np.take_along_axis(block.ranks_RK, block.displayed_RK, axis=1)
    is_best = shown_RK == shown_RK.min(axis=1, keepdims=True)
    won_RK = is_best / is_best.sum(axis=1, keepdims=True)
    num, size = shown_RK.shape
    return Entries(
        np.repeat(block.task_R, size), np.tile(np.arange(size), num), won_RK.ravel(), np.full(num * size, 1 / size)
    )


def _earlier_entries(block: Block) -> Entries:
    """Of every two that were not tied, whether the one shown earlier is ranked better. Chance is a half."""
    shown_RK = np.take_along_axis(block.ranks_RK, block.displayed_RK, axis=1)
    a, b = np.triu_indices(shown_RK.shape[1], k=1)
    order_RP = np.sign(shown_RK[:, b] - shown_RK[:, a])
    row, _ = np.nonzero(order_RP)
    won = order_RP[order_RP != 0] > 0
    return Entries(block.task_R[row], np.zeros(len(row), dtype=np.int64), won.astype(float), np.full(len(row), 0.5))


def _longer_entries(block: Block) -> Entries:
    """Of every two that were not tied and not equally long, whether the longer is ranked better."""
    ranks_RK, length_RK = block.ranks_RK, block.length_RK
    a, b = np.triu_indices(ranks_RK.shape[1], k=1)
    longer_RP = np.sign(length_RK[:, a] - length_RK[:, b])
    won_RP = longer_RP * np.sign(ranks_RK[:, b] - ranks_RK[:, a])
    row, pair = np.nonzero(won_RP)
    first, second = length_RK[row, a[pair]], length_RK[row, b[pair]]
    times = np.maximum(first, second) / np.maximum(1, np.minimum(first, second))
    group = np.searchsorted(RATIOS, times, side="right") - 1
    return Entries(block.task_R[row], group, (won_RP[row, pair] > 0).astype(float), np.full(len(row), 0.5))


def _joined(parts: Iterable[Entries]) -> Entries:
    found = list(parts)
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
    return Entries(
        np.concatenate([none, *(part.task_E for part in found)]),
        np.concatenate([none, *(part.group_E for part in found)]),
        np.concatenate([nothing, *(part.won_E for part in found)]),
        np.concatenate([nothing, *(part.expected_E for part in found)]),
    )


def _effects(entries: Entries, labels: Sequence[str], resamples: Resamples) -> list[Effect]:
    found = rows_of(task=entries.task_E, group=entries.group_E, num_groups=len(labels))
    ones = np.ones(len(entries.task_E))
    amounts_RS = found.add_up(np.stack([entries.won_E, entries.expected_E, ones], axis=1))
    won_GB, expected_GB, num_GB = resamples.all_sums(found, amounts_RS).transpose(1, 0, 2)
    counts: dict[str, Any] = {
        "num": num_GB[:, 0],
        "num_tasks": np.bincount(found.group_R, minlength=len(labels)),
        "why_not": [NOTHING] * len(labels),
    }
    return [
        Effect(label=label, share=share, expected=float(expected / num) if num else None, excess=excess)
        for label, share, excess, expected, num in zip(
            labels,
            figures(ratio(won_GB, num_GB), **counts),
            figures(ratio(won_GB - expected_GB, num_GB), **counts),
            expected_GB[:, 0],
            num_GB[:, 0],
            strict=True,
        )
    ]


def _given(project: Project, scope: Scope) -> Given:
    """An import keeps no order of display: its rankings say nothing about places."""
    rankings = counted(project, scope).values("id", "task_id", "labeler_id", "ranks", "displayed", "batch_id")
    columns = ("task_id", "labeler_id", "cardinality(ranks)", "(batch_id IS NULL)::int")
    lists = ("array_to_string(ranks, ' ')", "array_to_string(displayed, ' ')")
    task_R, labeler_R, size_R, is_shown_R, ranks, displayed = as_arrays(rankings, *columns, *lists)
    places = TaskResponse.objects.filter(task__project=project).annotate(num_chars=F("response__num_chars"))
    task_P, num_chars_P = as_arrays(
        places.values("task_id", "position", "num_chars"), "task_id", "num_chars", by="task_id, position"
    )
    task_keys, number_R = np.unique(task_R, return_inverse=True)
    first_rank_R, first_place_R = np.cumsum(size_R) - size_R, np.searchsorted(task_P, task_R)
    blocks = []
    for size in np.unique(size_R).tolist():
        of_size = np.flatnonzero(size_R == size)
        rank_RK, place_RK = (first_R[of_size, None] + np.arange(size) for first_R in (first_rank_R, first_place_R))
        block = Block(
            task_R=number_R[of_size],
            ranks_RK=ranks[rank_RK],
            length_RK=num_chars_P[place_RK],
            displayed_RK=displayed[rank_RK],
            is_shown_R=is_shown_R[of_size] == 1,
        )
        blocks.append(block)
    return Given(task_keys.tolist(), len(np.unique(labeler_R)), blocks)


def _languages(project: Project, tasks: set[int]) -> dict[int, str]:
    rows = Task.objects.filter(project=project, num_responses__gt=0).values_list("pk", "prompt__language")
    return {task: language for task, language in rows.iterator(CHUNK) if task in tasks}


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _signed(share: float) -> str:
    return f"{100 * share:.1f}".replace("-", "−")
