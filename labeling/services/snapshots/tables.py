"""The tables of a snapshot's page, counted while its rows stream by (InstructGPT, tables 1 and 6 to 11)."""

import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from training.contract.records import SPLITS, AnsweredRow, DemonstrationRow, PromptRow, RewardRow, Row, TextRow

MAX_PLACES_KEPT = 200_000  # lengths kept for the percentiles: beyond this a sample of the first ones


@dataclass
class Tables:
    prompts: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    use_cases: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    lengths: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    sizes: Counter[int] = field(default_factory=Counter)
    labelers: set[str] = field(default_factory=set)
    num_pairs: int = 0
    num_tied_pairs: int = 0
    num_held_out: int = 0
    _seen: set[str] = field(default_factory=set)

    def add(self, row: Row) -> None:
        """Count one row."""
        if isinstance(row, TextRow):
            self.rows[row.split, row.source] += 1
            self._length("text", row.text)
            return
        if not isinstance(row, RewardRow | DemonstrationRow | PromptRow | AnsweredRow):
            raise TypeError(f"no table for {type(row).__name__}")
        self.rows[row.split, row.source] += 1
        self._prompt(row)
        if isinstance(row, RewardRow):
            self._ranking(row)
        elif isinstance(row, DemonstrationRow):
            self._length("demonstration", row.response)
        elif isinstance(row, AnsweredRow):
            self.sizes[len(row.responses)] += 1
            for text in row.responses:
                self._length("response", text)

    def _prompt(self, row: RewardRow | DemonstrationRow | PromptRow | AnsweredRow) -> None:
        self.prompts[row.split, row.source].add(row.prompt_id)
        if row.prompt_id in self._seen:
            return
        self._seen.add(row.prompt_id)
        self.use_cases[row.category or "unknown"] += 1
        self.languages[row.language or "unknown"] += 1
        text = "\n".join(message.content for message in row.prompt)
        self._length("prompt", text)
        self._length(f"prompt: {row.category or 'unknown'}", text)

    def _ranking(self, row: RewardRow) -> None:
        self.sizes[len(row.responses)] += 1
        self.labelers.add(row.labeler)
        self.num_held_out += row.held_out
        ties = sum(a == b for a, b in combinations(row.ranks, 2))
        self.num_tied_pairs += ties
        self.num_pairs += len(row.ranks) * (len(row.ranks) - 1) // 2 - ties
        for text in row.responses:
            self._length("response", text)

    def _length(self, what: str, text: str) -> None:
        if len(self.lengths[what]) < MAX_PLACES_KEPT:
            self.lengths[what].append(len(text))

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest and the page."""
        return {
            "splits": [
                {"split": split, "source": source, "rows": count, "prompts": len(self.prompts[split, source])}
                for (split, source), count in sorted(self.rows.items(), key=_in_flow_order)
            ],
            "use_cases": dict(self.use_cases.most_common()),
            "languages": dict(self.languages.most_common()),
            "lengths": {what: _summary(values) for what, values in sorted(self.lengths.items())},
            "num_responses": {str(size): count for size, count in sorted(self.sizes.items())},
            "num_prompts": len(self._seen),
            "num_labelers": len(self.labelers),
            "num_pairs": self.num_pairs,
            "num_tied_pairs": self.num_tied_pairs,
            "num_held_out": self.num_held_out,
        }


def _in_flow_order(item: tuple[tuple[str, str], int]) -> tuple[int, str]:
    (split, source), _ = item
    return SPLITS.index(split), source


def _summary(values: list[int]) -> dict[str, float]:
    quarters = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {
        "count": len(values),
        "mean": round(statistics.fmean(values), 1),
        "std": round(statistics.pstdev(values), 1),
        "min": min(values),
        "p25": quarters[0],
        "p50": quarters[1],
        "p75": quarters[2],
        "max": max(values),
    }
