"""The measures on people's own judgements: three sources that keep every labeler, each figure against the oracle.

The same table stands in docs/agreement.md; this test holds it to what the code says.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from labeling.services.agreement import TIE_RULES, Figure
from labeling.services.agreement.judged import judged
from labeling.services.agreement.measures import Measures
from labeling.services.answers import dense
from tests.labeling.agreement import oracle
from tests.labeling.agreement.oracle import Row
from tests.real_data import real

DOCS = Path(__file__).parents[3] / "docs" / "agreement.md"
SOURCES = ["squality_human_eval", "wmt23_mqm_zhen", "wmt23_mqm_ende", "pandalm_testset"]


def records() -> Iterator[dict[str, Any]]:
    with gzip.open(real("rankings_real.jsonl.gz"), "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def judgements(record: dict[str, Any]) -> Iterator[tuple[str, str, list[int]]]:
    """(what was ranked, labeler, ranks): whole rankings, ranks by overall rating, or comparisons as rankings of two."""
    for given in record.get("annotations") or []:
        ratings = given.get("ratings") or []
        if given.get("ranks"):
            yield record["id"], given["annotator"], dense(given["ranks"])
        elif None not in ratings:
            yield record["id"], given["annotator"], dense([-rating for rating in ratings])
    for pair in record.get("comparisons") or []:
        if pair.get("annotator"):
            ranks = {"a": [1, 2], "b": [2, 1], "tie": [1, 1]}[pair["winner"]]
            turned = ranks if pair["a"] < pair["b"] else ranks[::-1]
            yield f"{record['id']} {sorted((pair['a'], pair['b']))}", pair["annotator"], turned


@cache
def rows_of(source: str) -> tuple[Row, ...]:
    numbers: dict[str, int] = defaultdict(lambda: len(numbers))
    found = [item for record in records() if record["source"] == source for item in judgements(record)]
    return tuple((numbers[f"task {task}"], numbers[f"labeler {who}"], ranks) for task, who, ranks in found)


@cache
def measured(source: str) -> Measures:
    return Measures(judged(rows_of(source)))


@pytest.mark.parametrize("source", SOURCES)
def test_figures_of_real_labelers_are_the_oracles(source: str) -> None:
    rows, line = list(rows_of(source)), measured(source).overall()
    for ties in TIE_RULES:
        assert line.agreement[ties].value == pytest.approx(oracle.pairwise(rows, ties=ties), abs=1e-9)
    assert line.tau.value == pytest.approx(oracle.tau(rows), abs=1e-9)
    assert line.alpha.value == pytest.approx(oracle.alpha(rows), abs=1e-9)


@pytest.mark.parametrize("source", SOURCES)
def test_each_interval_holds_its_figure_and_no_task_is_lost(source: str) -> None:
    line = measured(source).overall()
    for figure in (*line.agreement.values(), line.tau, line.alpha):
        assert figure.low is not None
        assert figure.high is not None
        assert figure.value is not None
        assert -1 <= figure.low < figure.value < figure.high <= 1
    assert line.num_tasks == len(oracle.by_task(rows_of(source)))


@pytest.mark.parametrize("source", SOURCES)
def test_the_table_in_the_docs_is_what_the_code_says(source: str) -> None:
    assert row_in_the_docs(source) in DOCS.read_text(encoding="utf-8")


def row_in_the_docs(source: str) -> str:
    found, line = measured(source), measured(source).overall()
    cells = [
        f"`{source}`",
        f"{line.num_tasks:,}",
        f"{len(found.judged.labeler_keys):,}",
        f"{line.num_pairs:,}",
        f"{line.num_tied / line.num_pairs:.1%}".replace("%", " %"),
        *(_percent(line.agreement[ties]) for ties in TIE_RULES),
        _plain(line.tau),
        _plain(line.alpha),
    ]
    return f"| {' | '.join(cells)} |"


def _percent(figure: Figure) -> str:
    assert figure.value is not None
    return f"{100 * figure.value:.1f} % ({100 * (figure.low or 0):.1f} to {100 * (figure.high or 0):.1f})"


def _plain(figure: Figure) -> str:
    assert figure.value is not None
    return f"{figure.value:.2f} ({figure.low:.2f} to {figure.high:.2f})"
