"""The paper's tables of a project's prompts in use (InstructGPT, tables 1 and 6 to 11)."""

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final, cast

from django.core.cache import cache
from django.db.models import Avg, Count, Max, Min, StdDev, Sum

from labeling.models import Project, Prompt, Split, UseCase
from labeling.services.people import Median

KEPT_SECONDS: Final = 60


@dataclass(frozen=True)
class Tables:
    """Each a list of rows. Shares are in per cent."""

    splits: list[dict[str, Any]]
    use_cases: list[tuple[str, int, float]]
    languages: list[tuple[str, int, float]]
    customers: list[dict[str, Any]]
    lengths: list[dict[str, Any]]


def of(project: Project) -> Tables:
    """Kept for a minute."""
    return cast(Tables, cache.get_or_set(f"prompt-tables:{project.pk}", lambda: _tables(project), KEPT_SECONDS))


def _tables(project: Project) -> Tables:
    prompts = Prompt.objects.in_use().filter(project=project).order_by()
    names = dict(UseCase.choices)
    return Tables(
        splits=_splits(prompts),
        use_cases=[(names[value], num, share) for value, num, share in _shares(prompts, "use_case")],
        languages=[(value or "not known", num, share) for value, num, share in _shares(prompts, "language")[:20]],
        customers=_customers(prompts),
        lengths=_lengths(prompts, names),
    )


def _splits(prompts: Any) -> list[dict[str, Any]]:
    """Split × source, in the order of the flow."""
    counted = prompts.values("split", "source").annotate(num=Count("pk"), chars=Sum("num_chars"))
    order = list(Split.values)
    return sorted(counted, key=lambda row: (order.index(row["split"]), row["source"]))


def _shares(prompts: Any, column: str) -> list[tuple[str, int, float]]:
    rows = list(prompts.values_list(column).annotate(num=Count("pk")).order_by("-num", column))
    total = sum(num for _, num in rows)
    return [(value, num, 100 * num / total) for value, num in rows]


def _customers(prompts: Any) -> list[dict[str, Any]]:
    """Prompts per customer, by split: how evenly they come."""
    per_customer = prompts.exclude(customer="").values("split", "customer").annotate(num=Count("pk"))
    by_split: dict[str, list[int]] = defaultdict(list)
    for row in per_customer:
        by_split[row["split"]].append(row["num"])
    return [
        {
            "split": split,
            "num_customers": len(nums),
            "mean": statistics.fmean(nums),
            "median": statistics.median(nums),
            "most": max(nums),
        }
        for split, nums in sorted(by_split.items())
    ]


def _lengths(prompts: Any, names: dict[str, str]) -> list[dict[str, Any]]:
    figures = {
        "count": Count("pk"),
        "mean": Avg("num_chars"),
        "std": StdDev("num_chars"),
        "min": Min("num_chars"),
        "median": Median("num_chars"),
        "max": Max("num_chars"),
    }
    total = prompts.aggregate(**figures)
    rows = [{"name": names[row["use_case"]], **row} for row in prompts.values("use_case").annotate(**figures)]
    return [{"name": "All prompts", **total}, *sorted(rows, key=lambda row: -row["count"])] if total["count"] else []
