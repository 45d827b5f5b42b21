"""Snapshot folders: every row is checked, and rows that are not the manifest's are refused."""

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from training.contract.records import Message, PromptRow, TextRow
from training.engine import data


def written(folder: Path) -> str:
    rows = [PromptRow(prompt_id=f"p{n}", prompt=[Message("user", f"hé {n}")], split="train") for n in range(3)]
    return data.write_snapshot(folder, "prompts", rows, stats={"languages": {"fr": 3}})


def test_rows_come_back_in_order_with_their_hash(tmp_path: Path) -> None:
    sha256 = written(tmp_path)
    found = data.read_prompts(tmp_path)
    assert [row.prompt_id for row in found.rows] == ["p0", "p1", "p2"]
    assert found.rows[0].prompt == [Message("user", "hé 0")]
    assert (found.manifest.sha256, found.manifest.num_rows) == (sha256, 3)
    assert found.manifest.stats == {"languages": {"fr": 3}}


def test_the_hash_does_not_depend_on_how_parquet_was_written(tmp_path: Path) -> None:
    written(tmp_path)
    table = pq.read_table(tmp_path / "data.parquet")
    pq.write_table(table, tmp_path / "data.parquet", compression="zstd", row_group_size=1)
    assert len(data.read_prompts(tmp_path).rows) == 3


def test_a_changed_row_is_noticed(tmp_path: Path) -> None:
    written(tmp_path)
    table = pq.read_table(tmp_path / "data.parquet")
    pq.write_table(table.slice(1), tmp_path / "data.parquet")
    with pytest.raises(data.SnapshotError, match="hash differs"):
        data.read_prompts(tmp_path)


def test_a_wrong_row_is_named(tmp_path: Path) -> None:
    written(tmp_path)
    rows = pq.read_table(tmp_path / "data.parquet").to_pylist()
    rows[1]["split"] = "dev"
    import pyarrow as pa

    pq.write_table(pa.Table.from_pylist(rows, schema=data.arrow_schema("prompts")), tmp_path / "data.parquet")
    with pytest.raises(data.SnapshotError, match=r"split: must be one of .* \(row 1\)"):
        data.read_prompts(tmp_path)


def test_another_kind_a_missing_file_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(data.SnapshotError, match="'text' is wanted"):
        data.read_text(tmp_path)
    (tmp_path / "data.parquet").write_bytes(b"not parquet")
    with pytest.raises(data.SnapshotError):
        data.read_prompts(tmp_path)
    (tmp_path / "data.parquet").unlink()
    with pytest.raises(data.SnapshotError):
        data.read_prompts(tmp_path)
    with pytest.raises(data.SnapshotError):
        data.read_prompts(tmp_path / "nowhere")


def test_an_empty_snapshot_is_a_snapshot(tmp_path: Path) -> None:
    data.write_snapshot(tmp_path, "text", list[TextRow]())
    assert data.read_text(tmp_path).rows == ()
    assert json.loads((tmp_path / "manifest.json").read_text())["num_rows"] == 0


def test_a_signal_to_the_group_of_a_stage_does_not_reach_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = tmp_path / "reader.py"
    reader.write_text("import os; print(os.getpgrp())")
    monkeypatch.setattr(data, "_READER", reader)
    (group,) = data._lines(tmp_path)
    assert int(group) != os.getpgrp()
