"""Files written line by line, and what an import made of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labeling.models import ImportBatch
from labeling.services import imports
from tests.real_data import real as real

from ..conftest import People


def reasons(batch: ImportBatch) -> dict[str, list[int]]:
    """Refused lines by reason."""
    found: dict[str, list[int]] = {}
    for item in batch.refusals.order_by("line"):
        found.setdefault(item.reason, []).append(item.line)
    return found


def notes(batch: ImportBatch) -> dict[str, int]:
    return {reason: note.count for reason, note in imports.tally(batch).notes.items()}


Take = Callable[..., ImportBatch]


@pytest.fixture
def take(people: People, tmp_path: Path) -> Take:
    """`take("prompts", [row, row, "a raw line"], name="x.jsonl", **options)`: the import after it ran."""

    def run(
        kind: str, rows: list[Any] | str | bytes | Path, *, name: str = "rows.jsonl", **options: Any
    ) -> ImportBatch:
        path = rows if isinstance(rows, Path) else tmp_path / name
        if isinstance(rows, list):
            lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
        elif isinstance(rows, str):
            path.write_text(rows, encoding="utf-8", newline="")
        elif isinstance(rows, bytes):
            path.write_bytes(rows)
        return imports.run_file(project=people.project, kind=kind, path=path, options=options)

    return run
