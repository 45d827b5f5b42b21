"""Reading files that others made: quirks, caps, and nothing but rows and FileError comes out."""

import gzip
import hashlib
import io
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from labeling.services import files
from labeling.services.files import FileError


def rows(content: bytes, filename: str = "x.csv") -> list[files.Line]:
    return list(files.read(io.BytesIO(content), filename=filename))


def values(content: str | bytes, filename: str = "x.csv") -> list[dict[str, Any] | None]:
    return [line.values for line in rows(content.encode() if isinstance(content, str) else content, filename)]


def packed(table: dict[str, list[Any]]) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table(table), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("prompt,id\na,1\nb,2\n", [{"prompt": "a", "id": "1"}, {"prompt": "b", "id": "2"}]),
        ("\ufeffprompt\na\n", [{"prompt": "a"}]),
        ("prompt;id\na;1\n", [{"prompt": "a", "id": "1"}]),
        ("prompt\tid\na,b\t1\n", [{"prompt": "a,b", "id": "1"}]),
        ('prompt\n"two\nlines"\n', [{"prompt": "two\nlines"}]),
        ('prompt\n"with ""quotes"""\n', [{"prompt": 'with "quotes"'}]),
        ("prompt\r\na\r\n", [{"prompt": "a"}]),
        ('prompt\n"kept\r\ninside"\n', [{"prompt": "kept\r\ninside"}]),
        ("prompt,id\na\n", [{"prompt": "a", "id": ""}]),
        ("prompt\n\n\na\n", [{"prompt": "a"}]),
        ("prompt,,id\na,ignored,1\n", [{"prompt": "a", "id": "1"}]),
        (" prompt , id \na,1", [{"prompt": "a", "id": "1"}]),
        ("prompt\n", []),
    ],
    ids=repr,
)
def test_csv_is_read_with_its_quirks(content: str, expected: list[Any]) -> None:
    assert values(content) == expected


def test_line_numbers_are_those_of_an_editor() -> None:
    lines = rows(b'prompt\n"one\ntwo\nthree"\nnext\n\nlast\n')
    assert [line.number for line in lines] == [2, 5, 7]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"prompt\na,b\n", "more cells than the header"),
        (b'prompt\n"never closed\nto the end', "broken CSV"),
        (b'prompt\n"closed"too early\n', "broken CSV"),
        (b"prompt\ncaf\xe9\n", "not UTF-8"),
    ],
)
def test_a_broken_csv_row_is_a_problem_of_that_row(content: bytes, reason: str) -> None:
    assert [line.problem.reason for line in rows(content) if line.problem] == [reason]


@pytest.mark.parametrize(
    ("content", "filename", "says"),
    [
        (b"", "x.csv", "empty"),
        (b"\xff\xfep\0r\0", "x.csv", "UTF-16"),
        (b"prompt,prompt\na,b\n", "x.csv", "occurs twice"),
        (b",,\na,b,c\n", "x.csv", "must name the columns"),
        (b"caf\xe9\na\n", "x.csv", "not text in UTF-8"),
        (b'[{"prompt": "a"}]', "x.json", "one object per line"),
        (b"PAR1 and then nonsense", "x.parquet", "damaged"),
        (gzip.compress(b'{"prompt": "a"}\n' * 1000, mtime=0)[:-20], "x.jsonl.gz", "damaged or cut off"),
        (b"\x1f\x8b not gzip at all", "x.jsonl.gz", "damaged or cut off"),
    ],
)
def test_a_file_that_cannot_be_read_says_so_before_anything_is_taken(content: bytes, filename: str, says: str) -> None:
    def whole() -> None:
        files.inspect(io.BytesIO(content), filename=filename)
        rows(content, filename)

    with pytest.raises(FileError, match=says):
        whole()


def test_a_bomb_is_stopped_by_its_unpacked_size(settings: Any) -> None:
    settings.MAX_IMPORT_BYTES = 1_000_000
    bomb = gzip.compress(b'{"prompt": "' + b"a" * 50_000_000 + b'"}\n')
    assert len(bomb) < 100_000
    with pytest.raises(FileError, match="larger than 1 MB unpacked"):
        files.inspect(io.BytesIO(bomb), filename="x.jsonl.gz")


def test_too_many_rows_are_not_read(monkeypatch: Any) -> None:
    monkeypatch.setattr(files, "MAX_ROWS", 3)
    with pytest.raises(FileError, match="more than 3 rows"):
        rows(b'{"prompt": "a"}\n' * 4, "x.jsonl")


def test_a_file_is_told_by_its_content() -> None:
    line = b'{"prompt": "a"}\n'
    assert values(line, "prompts") == [{"prompt": "a"}]
    assert values(gzip.compress(line), "misnamed.jsonl") == [{"prompt": "a"}]
    assert values(b"\xef\xbb\xbf" + line, "x.jsonl") == [{"prompt": "a"}]
    assert values(packed({"prompt": ["a"]}), "misnamed.csv") == [{"prompt": "a"}]


def test_parquet_gives_lists_structs_and_leaves_out_nulls() -> None:
    table = {"prompt": ["a", None], "responses": [[{"text": "x", "model": "m"}], []], "n": [1, 2]}
    assert values(packed(table), "x.parquet") == [
        {"prompt": "a", "responses": [{"text": "x", "model": "m"}], "n": 1},
        {"responses": [], "n": 2},
    ]


@pytest.mark.parametrize("opener", [pa.ipc.new_stream, pa.ipc.new_file])
def test_arrow_files_of_the_datasets_library_are_read(opener: Any) -> None:
    table = pa.table({"prompt": ["a", "b", None], "n": [1, 2, 3]})
    out = io.BytesIO()
    with opener(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    assert values(out.getvalue(), "data-00000-of-00001.arrow") == [
        {"prompt": "a", "n": 1},
        {"prompt": "b", "n": 2},
        {"n": 3},
    ]
    assert files.inspect(io.BytesIO(out.getvalue()), filename="x.arrow").num_lines == 3
    with pytest.raises(FileError, match="damaged"):
        rows(out.getvalue()[:-60], "x.arrow")


def test_the_facts_of_a_file() -> None:
    facts = files.inspect(io.BytesIO(b"prompt\na\nb"), filename="x.csv")
    assert facts.num_lines == 3
    assert facts.sha256 == hashlib.sha256(b"prompt\na\nb").hexdigest()


FILENAMES = st.sampled_from(["x.csv", "x.tsv", "x.jsonl", "x.json", "x.parquet", "x", "x.csv.gz", "\0.jsonl"])
PIECES = st.sampled_from(
    [
        b'"',
        b",",
        b"\n",
        b"\r",
        b"{",
        b"}",
        b"[",
        b'{"prompt": "a"}\n',
        b"prompt,id\n",
        b"\xff",
        b"\0",
        b"PAR1",
        b"\x1f\x8b",
    ]
)


@given(content=st.one_of(st.binary(max_size=400), st.lists(PIECES, max_size=40).map(b"".join)), filename=FILENAMES)
@example(content=b"\x1f\x8b\x08", filename="x.csv")
@example(content=b"PAR1PAR1", filename="x.csv")
@settings(max_examples=400, deadline=None)
def test_whatever_the_bytes_only_rows_and_file_errors_come_out(content: bytes, filename: str) -> None:
    try:
        files.inspect(io.BytesIO(content), filename=filename)
        for line in files.read(io.BytesIO(content), filename=filename):
            assert (line.values is None) != (line.problem is None)
    except FileError:
        return


@given(content=st.binary(max_size=200), at=st.integers(0, 600))
@settings(max_examples=150, deadline=None)
def test_a_damaged_parquet_file_is_only_ever_a_file_error(content: bytes, at: int) -> None:
    whole = bytearray(packed({"prompt": ["a", "b"], "ranks": [[1, 2], [2, 1]]}))
    whole[at % len(whole) : at % len(whole) + len(content)] = content
    try:
        for line in files.read(io.BytesIO(bytes(whole)), filename="x.parquet"):
            assert line.values is not None or line.problem is not None
    except FileError:
        return


@given(records=st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4), max_size=5))
@settings(max_examples=60, deadline=None)
def test_json_lines_come_out_as_they_went_in(records: list[dict[str, str]]) -> None:
    content = "".join(json.dumps(record) + "\n" for record in records).encode()
    if content:
        assert values(content, "x.jsonl") == records
