"""Rankings as flat arrays: what every measure counts from. Labelers and tasks are numbers 0, 1, 2, … in them.

Shapes: R rankings, T tasks that two or more people ranked, N labelers of a task, K responses of a task.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
JudgedRow = tuple[int, int, Sequence[int]]  # task, labeler, ranks


@dataclass(frozen=True)
class Shape:
    """Tasks of the same number of labelers and responses."""

    tasks_T: Ints
    labelers_TN: Ints
    ranks_TNK: Ints


@dataclass(frozen=True)
class Judged:
    """Rankings sorted by task and labeler, of shared tasks only. `task_keys[t]` is the key that task t came with."""

    task_keys: Ints
    labeler_keys: Ints
    num_alone: int  # tasks that one person ranked
    num_rankings: int

    task_R: Ints
    labeler_R: Ints
    num_responses_R: Ints
    first_rank_R: Ints  # where the ranks of ranking r begin in `ranks`
    ranks: Ints

    @property
    def num_tasks(self) -> int:
        return len(self.task_keys)

    def shapes(self) -> Iterator[Shape]:
        num_labelers_T = np.bincount(self.task_R, minlength=self.num_tasks)
        first_T = np.cumsum(num_labelers_T) - num_labelers_T
        num_responses_T = self.num_responses_R[first_T]
        for n, k in sorted(set(zip(num_labelers_T.tolist(), num_responses_T.tolist(), strict=True))):
            tasks = np.flatnonzero((num_labelers_T == n) & (num_responses_T == k))
            rows_TN = first_T[tasks][:, None] + np.arange(n)
            ranks_TNK = self.ranks[self.first_rank_R[rows_TN][:, :, None] + np.arange(k)]
            yield Shape(tasks_T=tasks, labelers_TN=self.labeler_R[rows_TN], ranks_TNK=ranks_TNK)


@dataclass(frozen=True)
class Columns:
    """Rankings with an order as flat arrays; `ranks` are those of one after the other."""

    task_R: Ints
    labeler_R: Ints
    num_responses_R: Ints
    ranks: Ints


def judged(rows: Iterable[JudgedRow]) -> Judged:
    """One ranking per task and labeler; of two, the later in `rows` counts. Answers without an order are left out."""
    ordered = [row for row in rows if len(row[2]) > 1]
    task, labeler, num = (
        np.array(column, dtype=np.int64).reshape(len(ordered))
        for column in ([row[0] for row in ordered], [row[1] for row in ordered], [len(row[2]) for row in ordered])
    )
    ranks = np.fromiter(chain.from_iterable(row[2] for row in ordered), dtype=np.int64)
    return of_columns(Columns(task, labeler, num, ranks))


def of_columns(given: Columns) -> Judged:
    """The same, for many."""
    chosen = _newest(given)
    _, every_task_R, num_T = np.unique(given.task_R[chosen], return_inverse=True, return_counts=True)
    shared = chosen[num_T[every_task_R] > 1]
    task_keys, task_R = np.unique(given.task_R[shared], return_inverse=True)
    labeler_keys, labeler_R = np.unique(given.labeler_R[shared], return_inverse=True)
    num_responses_R = given.num_responses_R[shared]
    _check_lengths(task_R, num_responses_R)
    first_rank_R = np.cumsum(num_responses_R) - num_responses_R
    was_first_R = (np.cumsum(given.num_responses_R) - given.num_responses_R)[shared]
    from_where = np.repeat(was_first_R - first_rank_R, num_responses_R) + np.arange(num_responses_R.sum())
    return Judged(
        task_keys=task_keys,
        labeler_keys=labeler_keys,
        num_alone=int((num_T == 1).sum()),
        num_rankings=len(shared),
        task_R=task_R,
        labeler_R=labeler_R,
        num_responses_R=num_responses_R,
        first_rank_R=first_rank_R,
        ranks=given.ranks[from_where],
    )


def _newest(given: Columns) -> Ints:
    """The rankings sorted by task and labeler, the last of each two kept."""
    order = np.lexsort((np.arange(len(given.task_R)), given.labeler_R, given.task_R))
    task, labeler = given.task_R[order], given.labeler_R[order]
    is_last = np.ones(len(order), dtype=bool)
    is_last[:-1] = (task[1:] != task[:-1]) | (labeler[1:] != labeler[:-1])
    return order[is_last]


def _check_lengths(task_R: Ints, num_responses_R: Ints) -> None:
    is_same_task = task_R[1:] == task_R[:-1]
    if (num_responses_R[1:] != num_responses_R[:-1])[is_same_task].any():
        raise ValueError("rankings of one task have different numbers of responses")
