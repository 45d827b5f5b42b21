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


def judged(rows: Iterable[JudgedRow]) -> Judged:
    """One ranking per task and labeler; of two, the later in `rows` counts. Answers without an order are left out."""
    newest = {(task, labeler): ranks for task, labeler, ranks in rows if len(ranks) > 1}
    keys = np.array(sorted(newest), dtype=np.int64).reshape(-1, 2)
    _, every_task_R, num_T = np.unique(keys[:, 0], return_inverse=True, return_counts=True)
    shared = keys[num_T[every_task_R] > 1]
    ranks = [newest[task, labeler] for task, labeler in shared.tolist()]
    task_keys, task_R = np.unique(shared[:, 0], return_inverse=True)
    labeler_keys, labeler_R = np.unique(shared[:, 1], return_inverse=True)
    num_responses_R = np.fromiter(map(len, ranks), dtype=np.int64, count=len(ranks))
    _check_lengths(task_R, num_responses_R)
    return Judged(
        task_keys=task_keys,
        labeler_keys=labeler_keys,
        num_alone=int((num_T == 1).sum()),
        num_rankings=len(ranks),
        task_R=task_R,
        labeler_R=labeler_R,
        num_responses_R=num_responses_R,
        first_rank_R=np.cumsum(num_responses_R) - num_responses_R,
        ranks=np.fromiter(chain.from_iterable(ranks), dtype=np.int64),
    )


def _check_lengths(task_R: Ints, num_responses_R: Ints) -> None:
    is_same_task = task_R[1:] == task_R[:-1]
    if (num_responses_R[1:] != num_responses_R[:-1])[is_same_task].any():
        raise ValueError("rankings of one task have different numbers of responses")
