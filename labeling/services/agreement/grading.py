"""One ranking graded against another: qualification and gold against a reference, a hidden repeat against the first.

The grade is the share of pairs of responses on which the two agree. The tie rules, in every figure of this package:

- `drop`: a pair that either of the two tied is left out. Chance is 50 %. Tying all but a sure pair passes any test.
- `half`: tied by both is agreement, tied by one of them is half of one. Chance is 50 %, and tying everything earns just
  that where the reference tied nothing; so it is the rule for grading people.
- `strict`: a tie is a third answer, right only where both give it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

TieRule = Literal["drop", "half", "strict"]
TIE_RULES: tuple[TieRule, ...] = ("drop", "half", "strict")
Ranks = Sequence[int]


@dataclass(frozen=True)
class Grade:
    """`share` is None where no pair is left to grade; `why_not` says so."""

    share: float | None
    num_pairs: int
    num_tied: int  # by one of the two or by both; under `drop` they are not among the pairs
    ties: TieRule
    why_not: str = ""


def grade(ranks: Ranks, reference_ranks: Ranks, *, ties: TieRule = "half") -> float | None:
    """The share of pairs on which one ranking agrees with a reference; None where there is none to compare."""
    return grade_all([(ranks, reference_ranks)], ties=ties).share


def grade_all(graded: Iterable[tuple[Ranks, Ranks]], *, ties: TieRule = "half") -> Grade:
    """Over several tasks, each as (ranks, reference): every pair of responses weighs the same."""
    agreed, num_pairs, num_tied = 0.0, 0, 0
    for ranks, reference in graded:
        _check(ranks, reference)
        for a, b in combinations(range(min(len(ranks), len(reference))), 2):
            one, other = order_of(ranks, a, b), order_of(reference, a, b)
            credit = credit_of(one, other, ties=ties)
            num_tied += one == 0 or other == 0
            num_pairs += credit is not None
            agreed += credit or 0.0
    share = agreed / num_pairs if num_pairs else None
    return Grade(share, num_pairs, num_tied, ties, why_not=_why_not(num_pairs, num_tied))


def order_of(ranks: Ranks, a: int, b: int) -> int:
    """-1 where a is better, 1 where b is, 0 where they are tied."""
    return (ranks[a] > ranks[b]) - (ranks[a] < ranks[b])


def credit_of(one: int, other: int, *, ties: TieRule) -> float | None:
    """What two orders of one pair are worth under the rule; None leaves the pair out."""
    if one and other:
        return float(one == other)
    if ties == "drop":
        return None
    return float(one == other) if ties == "strict" else 1.0 if one == other else 0.5


def _check(ranks: Ranks, reference: Ranks) -> None:
    """An answer without an order (none is acceptable) has no pairs; different lengths are a mistake of the caller."""
    if ranks and reference and len(ranks) != len(reference):
        raise ValueError(f"{len(ranks)} ranks cannot be graded against {len(reference)}")


def _why_not(num_pairs: int, num_tied: int) -> str:
    if num_pairs:
        return ""
    return "every pair was tied by one or by both" if num_tied else "there is no order to compare"
