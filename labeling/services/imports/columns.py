"""Which column of a file is which: guessed by name, changed by the person, asked by our own names afterwards."""

from collections.abc import Iterable, Mapping
from typing import Any

from labeling.models import ImportBatch

# Our name, then what other files call it, the likeliest first.
_PROMPT: dict[str, tuple[str, ...]] = {
    "prompt": ("messages", "conversation", "question", "instruction", "query", "text", "input"),
    "id": ("prompt_id", "example_id", "uid", "key"),
    "category": ("task_type", "domain", "topic", "act", "type"),
    "use_case": ("usecase",),
    "language": ("lang", "locale"),
    "customer": ("user_id", "customer_id", "user", "organization", "author"),
    "dataset": ("source", "data_set"),
    "split": (),
    "meta": ("metadata",),
}
_RANKINGS: dict[str, tuple[str, ...]] = {
    "responses": ("completions", "answers", "outputs", "candidates"),
    "ranks": ("ranking", "rank"),
    "ranks_from": (),
    "ratings": ("scores",),
    "annotations": ("judgements", "judgments"),
    "comparisons": ("pairs",),
    "chosen": ("preferred",),
    "rejected": ("dispreferred",),
    "annotator": ("labeler", "annotator_id", "worker"),
}
_DEMONSTRATIONS: dict[str, tuple[str, ...]] = {
    "demonstration": ("response", "completion", "answer", "output", "target", "best answer"),
    "annotator": ("labeler", "annotator_id", "worker", "writer"),
}
ALIASES: dict[str, dict[str, tuple[str, ...]]] = {
    ImportBatch.Kind.PROMPTS: _PROMPT,
    ImportBatch.Kind.RANKINGS: _PROMPT | _RANKINGS,
    ImportBatch.Kind.DEMONSTRATIONS: _PROMPT | _DEMONSTRATIONS,
}


def guess(kind: str, names: Iterable[str]) -> dict[str, str]:
    """Our name → the file's, for each that was found. A column serves once; exact names win over aliases."""
    by_lower = {name.strip().lower(): name for name in names}
    found = {ours: by_lower.pop(ours) for ours in ALIASES[kind] if ours in by_lower}
    for ours, aliases in ALIASES[kind].items():
        if ours not in found:
            match = next((alias for alias in aliases if alias in by_lower), None)
            if match:
                found[ours] = by_lower.pop(match)
    return found


class Row:
    """A file's row, asked by our names."""

    def __init__(self, values: Mapping[str, Any], columns: Mapping[str, str]) -> None:
        self.values = values
        self.columns = columns

    def get(self, ours: str) -> Any:
        """The value, or None where the file has none. An empty cell is "": a response may well be empty."""
        name = self.columns.get(ours)
        return self.values.get(name) if name else None


class Reader:
    """Makes rows. What the person mapped stands (“” means: leave it out); the rest is guessed.

    Rows of one file may differ in their columns, so a guess is made per set of names.
    """

    def __init__(self, kind: str, mapped: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self.mapped = dict(mapped or {})
        self.guesses: dict[frozenset[str], dict[str, str]] = {}

    def row(self, values: Mapping[str, Any]) -> Row:
        names = frozenset(values)
        if names not in self.guesses:
            if len(self.guesses) > 1_000:  # a file with new names on each line must not fill the memory
                self.guesses.clear()
            self.guesses[names] = self.columns(names)
        return Row(values, self.guesses[names])

    def columns(self, names: Iterable[str]) -> dict[str, str]:
        taken = set(self.mapped.values())
        free = [name for name in names if name not in taken]
        guessed = {ours: name for ours, name in guess(self.kind, free).items() if ours not in self.mapped}
        return guessed | {ours: name for ours, name in self.mapped.items() if name}
