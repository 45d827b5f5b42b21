"""What a panel is made of: figures with their intervals, each with its source and the paper's own value beside it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from labeling.services.agreement import Figure

Unit = Literal["share", "number", "nats", "tokens", "characters", "count"]


@dataclass(frozen=True)
class Source:
    """Where a figure comes from: a page of the project, named by its address's name and what stands in it."""

    label: str
    page: str
    uid: Any = None


@dataclass(frozen=True)
class Printed:
    """A figure that the paper prints, and where in it."""

    value: float
    where: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    label: str
    figure: Figure
    source: Source | None = None
    paper: Printed | None = None
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """Lines on one scale. `mark` is what to read them against, say chance. Bars begin at zero."""

    title: str
    lines: list[Line]
    unit: Unit = "share"
    hint: str = ""
    mark: float | None = None
    is_bars: bool = False

    @property
    def has_paper(self) -> bool:
        return any(line.paper for line in self.lines)

    @property
    def has_intervals(self) -> bool:
        return any(line.figure.low is not None for line in self.lines)


@dataclass(frozen=True)
class PaperLine:
    """What the paper measured for the same question by another measure: only its direction can be compared."""

    label: str
    values: list[tuple[str, str]]
    where: str


@dataclass(frozen=True)
class Missing:
    """What is lacking, and the page on which one gets it."""

    text: str
    label: str
    page: str
    args: tuple[str, ...] = ()
    query: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    key: str
    title: str
    question: str
    says: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    paper: list[PaperLine] = field(default_factory=list)
    caveats: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def drawn(self) -> "Panel":
        """Without charts that have no line."""
        return replace(self, charts=[chart for chart in self.charts if chart.lines])


@dataclass(frozen=True)
class Report:
    made_at: datetime
    panels: list[Panel]
