"""JSON Lines: one object per line."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from labeling.services.files import lines
from labeling.services.files.lines import Capped, Line, Problem

MAX_DEPTH = 16


def rows(stream: Capped) -> Iterator[Line]:
    number = 0
    while raw := stream.readline(lines.MAX_LINE_BYTES):
        number += 1
        if len(raw) == lines.MAX_LINE_BYTES and not raw.endswith(b"\n"):
            _skip_rest(stream)
            yield Line(number, problem=Problem(lines.LINE_TOO_LONG, f"more than {lines.MAX_LINE_BYTES:,} bytes"))
            continue
        raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if raw.strip():
            yield _json_line(number, raw)


def _skip_rest(stream: Capped) -> None:
    while (piece := stream.readline(lines.CHUNK)) and not piece.endswith(b"\n"):
        pass


def _json_line(number: int, raw: bytes) -> Line:
    try:
        values = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        return Line(number, problem=Problem(lines.NOT_UTF8, f"byte {error.start + 1} of the line"))
    except RecursionError:
        return Line(number, problem=Problem(lines.NESTED_TOO_DEEPLY))
    except ValueError as error:  # JSONDecodeError, NaN, a number with thousands of digits
        return Line(number, problem=Problem(lines.NOT_JSON, str(error)))
    if not isinstance(values, dict):
        return Line(number, problem=Problem(lines.NOT_AN_OBJECT, f"a {type(values).__name__}"))
    if _is_deep(values):
        return Line(number, problem=Problem(lines.NESTED_TOO_DEEPLY, f"more than {MAX_DEPTH} levels"))
    return Line(number, values=values)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []
