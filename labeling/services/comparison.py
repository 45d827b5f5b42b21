"""Runs side by side: of everything that they were given and made, only what differs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from labeling.models import Run

MOST: Final = 10
NOTHING: Final = "–"


class Row(NamedTuple):
    """One name with a value per run."""

    name: str
    values: list[str]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class Comparison:
    """`num_same` options are the same in all runs."""

    runs: list[Run]
    options: list[Row]
    results: list[Row]
    num_same: int


def of(found: Iterable[Run], *, shows_all: bool = False) -> Comparison:
    """With `shows_all` what is the same in all of them, too."""
    runs = sorted(found, key=lambda run: run.created_at)
    options = _rows([_given(run) for run in runs])
    results = _rows([dict(figures(run.result.get("summary", {}))) for run in runs])
    return Comparison(
        runs=runs,
        options=[row for row in options if shows_all or row.differs],
        results=[row for row in results if shows_all or row.differs],
        num_same=sum(not row.differs for row in options),
    )


def figures(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The plain values of a nested report, named by their path; lists stay in the file."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            found += figures(value, f"{path} · ")
        elif isinstance(value, int | float | str) and not isinstance(value, bool):
            found.append((path.replace("_", " "), _plain(value)))
    return found


def _given(run: Run) -> dict[str, str]:
    inputs = run.inputs.select_related("snapshot", "model").order_by("name")
    names = {item.name: str(item.snapshot or item.model or item.folder or item.upload) for item in inputs}
    names |= {item.name: f"{item.file} {item.file.sha256[:8]}" for item in run.files.select_related("file")}
    return {"stage": run.get_stage_display(), **names, **{name: _plain(value) for name, value in run.config.items()}}


def _rows(columns: list[dict[str, str]]) -> list[Row]:
    names = dict.fromkeys(name for column in columns for name in column)
    return [Row(name, [column.get(name, NOTHING) for column in columns]) for name in names]


def _plain(value: Any) -> str:
    """Four digits of a fraction, and 1e-08 instead of 0.00000001."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
