"""Real human judgements as a pool that a simulation buys rankings from, and as items that everything is measured on.

Split by conversation. The pool has one ranking per prompt, so that each costs the same; test items keep all of theirs.
What the models are pretrained on shows nothing of what people preferred: a response of each prompt by lot, never the
best one, and nothing of a test conversation.
"""

import gzip
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from human_labels import rows

from training.contract.records import DemonstrationRow, RewardRow, TextRow
from training.engine.batches import Element

SOURCES: Final = ("hh_helpful_base", "hh_helpful_rejection_sampled", "oasst_en100")
"""Where a model this small learns anything: chosen on prompts of the pool alone. It reads neither translations nor
passages, and helpfulness and harmlessness pull it in opposite directions."""
TEST_PERCENT: Final = 35


@dataclass(frozen=True)
class Pool:
    """Rows as the stages read them: what people judged, and what a model may read before."""

    rankings: list[RewardRow]  # split "train": the pool; "test": measured on
    demonstrations: list[DemonstrationRow]
    texts: list[TextRow]


def read(folder: Path) -> Pool:
    """The judgements of the folder, split anew."""
    kept = [row for row in rows.read(folder).rankings if row.category in SOURCES]
    rankings = [replace(row, split=_split(row), held_out=False) for row in kept]
    bought = [row for row in rankings if row.split == "train"]
    return Pool(rankings=rankings, demonstrations=_demonstrations(bought), texts=_texts(folder, bought))


def thinned(pool: Pool, *, every: int) -> Pool:
    """Every n-th row of each kind."""
    return Pool(pool.rankings[::every], pool.demonstrations[::every], pool.texts[::every])


def candidates(elements: Iterable[Element]) -> list[Element]:
    """The prompts of the pool, each with the first of its rankings and the responses that it ranks."""
    return [_one_ranking(element) for element in elements if element.split == "train"]


def measured(elements: Iterable[Element]) -> list[Element]:
    """Test items, named by conversation: an interval takes or leaves a conversation as a whole."""
    named = [item for item in elements if item.split == "test"]
    return [replace(item, prompt_id=rows.conversation(item.prompt_id)) for item in named]


def sources(chosen: Sequence[Element]) -> dict[str, float]:
    """What share of the chosen prompts each source has."""
    names = sorted({element.category for element in chosen})
    return {name: sum(item.category == name for item in chosen) / len(chosen) for name in names}


def _one_ranking(element: Element) -> Element:
    ranking = element.rankings[0]
    responses = tuple(element.responses[position] for position in ranking.positions)
    alone = replace(ranking, positions=tuple(range(len(responses))), weight=1.0)
    return replace(element, responses=responses, rankings=(alone,))


def _split(row: RewardRow) -> str:
    number = int(_digest(f"active {rows.conversation(row.prompt_id)}"), 16) % 100
    return "test" if number < TEST_PERCENT else "train"


def _demonstrations(bought: Sequence[RewardRow]) -> list[DemonstrationRow]:
    by_prompt = {row.prompt_id: row for row in bought}
    return [
        DemonstrationRow(prompt_id=name, prompt=row.prompt, response=min(row.responses, key=_digest), split="train")
        for name, row in by_prompt.items()
    ]


def _texts(folder: Path, bought: Sequence[RewardRow]) -> list[TextRow]:
    plain = gzip.decompress((folder / "text_real.txt.gz").read_bytes()).decode().split("\n\n\n")
    said = dict.fromkeys(text for row in bought for text in row.responses)
    asked = dict.fromkeys(turn.content for row in bought for turn in row.prompt)
    return [TextRow(text=text, split="train") for text in [*said, *asked, *plain] if text.strip()]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()
