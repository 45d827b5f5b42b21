"""What an import counts: rows read, taken and refused by reason with line numbers, what was made, what was noticed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from labeling.services.imports.taking import Refusal

MAX_LINES = 10
MADE = ("prompts", "responses", "tasks", "rankings", "demonstrations", "models", "labelers")


@dataclass
class Reason:
    count: int = 0
    lines: list[int] = field(default_factory=list)  # the first ten

    def add(self, line: int) -> None:
        self.count += 1
        if len(self.lines) < MAX_LINES and line not in self.lines:
            self.lines.append(line)


@dataclass
class Tally:
    num_rows: int = 0
    num_taken: int = 0
    num_refused: int = 0
    last_line: int = 0
    made: dict[str, int] = field(default_factory=dict)
    refused: dict[str, Reason] = field(default_factory=dict)
    notes: dict[str, Reason] = field(default_factory=dict)

    def add(
        self, *, drafts: Iterable[Any], refusals: Iterable[Refusal], made: Mapping[str, int], last_line: int
    ) -> None:
        for draft in drafts:
            self.num_taken += 1
            for note in draft.notes:
                self.notes.setdefault(note, Reason()).add(draft.line)
        for refusal in refusals:
            self.num_refused += 1
            self.refused.setdefault(refusal.reason, Reason()).add(refusal.line)
        for what, num in made.items():
            self.made[what] = self.made.get(what, 0) + num
        self.num_rows = self.num_taken + self.num_refused
        self.last_line = last_line

    def as_counts(self) -> dict[str, Any]:
        return {
            "last_line": self.last_line,
            "made": self.made,
            "refused": {reason: vars(found) for reason, found in self.refused.items()},
            "notes": {reason: vars(found) for reason, found in self.notes.items()},
        }

    def sorted(self) -> "Tally":
        """The most frequent reasons first."""
        return Tally.of(num_taken=self.num_taken, num_refused=self.num_refused, counts=self.as_counts())

    @classmethod
    def of(cls, *, num_taken: int, num_refused: int, counts: Mapping[str, Any]) -> "Tally":
        return cls(
            num_rows=num_taken + num_refused,
            num_taken=num_taken,
            num_refused=num_refused,
            last_line=counts.get("last_line", 0),
            made={what: counts["made"][what] for what in MADE if counts.get("made", {}).get(what)},
            refused=_most_first(counts.get("refused", {})),
            notes=_most_first(counts.get("notes", {})),
        )


def _most_first(reasons: Mapping[str, Any]) -> dict[str, Reason]:
    by_count = sorted(reasons.items(), key=lambda item: -item[1]["count"])
    return {reason: Reason(count=found["count"], lines=list(found["lines"])) for reason, found in by_count}
