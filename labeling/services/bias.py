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
from django.utils import timezone

from labeling.models import Project, Task, TaskResponse
from labeling.services.agreement.judged import Ints
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


def report(project: Project, scope: Scope) -> Report:
    rows = list(_rows(project, scope))
    tasks = {row.task for row in rows}
    return of_rows(rows, lengths=_lengths(project, tasks), languages=_languages(project, tasks), scope=scope)


def of_rows(
    rows: Sequence[Row], *, lengths: Mapping[int, Sequence[int]], languages: Mapping[int, str], scope: Scope
) -> Report:
    """`lengths` are characters by task and position."""
    number = {task: index for index, task in enumerate(sorted({row.task for row in rows}))}
    resamples = Resamples(len(number))
    shown = _Wins([row for row in rows if row.displayed is not None], number)
    places, longer = shown.by_place(), _Wins(rows, number).longer(lengths)
    num_places = int(places.group_E.max(initial=-1)) + 1
    return Report(
        scope=scope,
        made_at=timezone.now(),
        num_rankings=len(rows),
        num_shown_here=len(shown.rows),
        num_tasks=len(number),
        num_labelers=len({row.labeler for row in rows}),
        places=_effects(places, [str(place) for place in range(1, num_places + 1)], resamples),
        earlier=_effects(shown.earlier(), [""], resamples)[0],
        longer=_effects(longer.as_one(), [""], resamples)[0],
        ratios=_effects(longer, RATIO_LABELS, resamples),
        languages=_by_language(rows, places.only(places.group_E == 0), longer, number, languages, resamples),
    )


def _by_language(
    rows: Sequence[Row],
    first: "Entries",
    longer: "Entries",
    number: Mapping[int, int],
    languages: Mapping[int, str],
    resamples: Resamples,
) -> list[OfLanguage]:
    language_T = [languages.get(task, "") for task in number]
    num_rankings = Counter(languages.get(row.task, "") for row in rows)
    names = [name for name, _ in num_rankings.most_common()]
    group_T = np.array([names.index(language) for language in language_T], dtype=np.int64)
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


@dataclass(frozen=True)
class _Wins:
    rows: Sequence[Row]
    number: Mapping[int, int]

    def by_place(self) -> Entries:
        """Ranked best, by the place shown in; several best share the win. Chance is one in K."""
        return _joined(_place_entries(*parts) for parts in self._by_size())

    def earlier(self) -> Entries:
        """Of every two that were not tied, whether the one shown earlier is ranked better. Chance is a half."""
        return _joined(_earlier_entries(*parts) for parts in self._by_size())

    def longer(self, lengths: Mapping[int, Sequence[int]]) -> Entries:
        """Of every two that were not tied and not equally long, whether the longer is ranked better."""
        return _joined(_longer_entries(*parts, lengths=lengths) for parts in self._by_size())

    def _by_size(self) -> Iterable[tuple[Ints, list[Row], Ints]]:
        """Tasks, rows and R × K ranks, of one K at a time."""
        for size in sorted({len(row.ranks) for row in self.rows}):
            rows = [row for row in self.rows if len(row.ranks) == size]
            tasks = np.array([self.number[row.task] for row in rows], dtype=np.int64)
            yield tasks, rows, np.array([row.ranks for row in rows], dtype=np.int64)


def _place_entries(task_R: Ints, rows: list[Row], ranks_RK: Ints) -> Entries:
    shown_RK = np.take_along_axis(ranks_RK, _displayed(rows), axis=1)
    is_best = shown_RK == shown_RK.min(axis=1, keepdims=True)
    won_RK = is_best / is_best.sum(axis=1, keepdims=True)
    num, size = ranks_RK.shape
    return Entries(
        np.repeat(task_R, size), np.tile(np.arange(size), num), won_RK.ravel(), np.full(num * size, 1 / size)
    )


def _earlier_entries(task_R: Ints, rows: list[Row], ranks_RK: Ints) -> Entries:
    shown_RK = np.take_along_axis(ranks_RK, _displayed(rows), axis=1)
    a, b = np.triu_indices(ranks_RK.shape[1], k=1)
    order_RP = np.sign(shown_RK[:, b] - shown_RK[:, a])
    row, _ = np.nonzero(order_RP)
    won = order_RP[order_RP != 0] > 0
    return Entries(task_R[row], np.zeros(len(row), dtype=np.int64), won.astype(float), np.full(len(row), 0.5))


def _longer_entries(task_R: Ints, rows: list[Row], ranks_RK: Ints, *, lengths: Mapping[int, Sequence[int]]) -> Entries:
    length_RK = np.array([lengths[row.task] for row in rows], dtype=np.int64)
    a, b = np.triu_indices(ranks_RK.shape[1], k=1)
    longer_RP = np.sign(length_RK[:, a] - length_RK[:, b])
    won_RP = longer_RP * np.sign(ranks_RK[:, b] - ranks_RK[:, a])
    row, pair = np.nonzero(won_RP)
    first, second = length_RK[row, a[pair]], length_RK[row, b[pair]]
    times = np.maximum(first, second) / np.maximum(1, np.minimum(first, second))
    group = np.searchsorted(RATIOS, times, side="right") - 1
    return Entries(task_R[row], group, (won_RP[row, pair] > 0).astype(float), np.full(len(row), 0.5))


def _displayed(rows: list[Row]) -> Ints:
    return np.array([row.displayed for row in rows], dtype=np.int64)


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


def _rows(project: Project, scope: Scope) -> Iterable[Row]:
    """An import keeps no order of display: its rankings say nothing about places."""
    columns = ("task", "labeler", "ranks", "displayed", "batch")
    for task, labeler, ranks, displayed, batch in counted(project, scope).values_list(*columns).iterator(CHUNK):
        yield Row(task, labeler, ranks, displayed if batch is None else None)


def _lengths(project: Project, tasks: set[int]) -> dict[int, list[int]]:
    rows = TaskResponse.objects.filter(task__project=project).order_by("task", "position")
    found: dict[int, list[int]] = {}
    for task, num_chars in rows.values_list("task", "response__num_chars").iterator(CHUNK):
        if task in tasks:
            found.setdefault(task, []).append(num_chars)
    return found


def _languages(project: Project, tasks: set[int]) -> dict[int, str]:
    rows = Task.objects.filter(project=project, num_responses__gt=0).values_list("pk", "prompt__language")
    return {task: language for task, language in rows.iterator(CHUNK) if task in tasks}


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _signed(share: float) -> str:
    return f"{100 * share:.1f}".replace("-", "−")
