"""Files of human rankings, preferences and demonstrations as rows of snapshots, with splits and held-out labelers.

A split is drawn by conversation: whatever begins with the same words of the user, or asks about the same story, is in
one split, whichever file it stands in. Of each source whose labelers are known about a quarter of them are held out.
"""

import gzip
import hashlib
import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from training.contract.records import DemonstrationRow, Message, RewardRow, TextRow

LONGEST_TURN: Final = 700
"""Characters of a turn that are read; a longer one keeps its first and last half of that."""

TEST_PERCENT: Final = 15
VALID_PERCENT: Final = 5
HELD_OUT_SHARE: Final = 0.25
NOBODY: Final = "not known"
PAIRS_ALSO_RANKED: Final = frozenset({"fgrlhf_qa_feedback", "pandalm_testset", "tulu1_human_eval"})
"""Sources of the preferences file whose labels stand in the rankings file, too."""


@dataclass
class Material:
    """All rows, and what was left out or shortened."""

    rankings: list[RewardRow] = field(default_factory=list)
    demonstrations: list[DemonstrationRow] = field(default_factory=list)
    texts: list[TextRow] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def read(folder: Path) -> Material:
    """Everything in the folder that people judged or wrote. Nothing of the test conversations is in the texts."""
    material = Material()
    for record in _records(folder / "rankings_real.jsonl.gz"):
        material.rankings += _of_ranking(record, material.counts)
    for record in _records(folder / "preferences_real.jsonl.gz"):
        if record["source"] not in PAIRS_ALSO_RANKED:
            material.rankings += _of_pair(record, material.counts)
    material.rankings = _hold_out(_weigh(material.rankings))
    material.demonstrations = list(_demonstrations(folder, material))
    material.texts = list(_texts(folder, material))
    return material


def conversation(prompt_id: str) -> str:
    """What a split, and a resample of the bootstrap, takes or leaves as a whole."""
    return prompt_id.split("/")[0]


def _of_ranking(record: dict[str, Any], counts: Counter[str]) -> Iterator[RewardRow]:
    """A row per labeler, or per judged pair where labelers saw two responses at a time."""
    judged = [(entry["annotator"], _ranks(entry)) for entry in record.get("annotations", ())]
    texts = [response["text"] for response in record["responses"]]
    if judged:
        for labeler, ranks in judged:
            rated = [(text, rank) for text, rank in zip(texts, ranks, strict=True) if rank is not None]
            yield from _row(record, rated, labeler, counts)
    elif any("annotator" in entry for entry in record.get("comparisons", ())):
        for entry in record["comparisons"]:
            ranks = {"a": (1, 2), "b": (2, 1), "tie": (1, 1)}[entry["winner"]]
            pair = [(texts[entry["a"]], ranks[0]), (texts[entry["b"]], ranks[1])]
            yield from _row(record, pair, entry["annotator"], counts)
    elif "ranks" in record:
        yield from _row(record, list(zip(texts, record["ranks"], strict=True)), NOBODY, counts)
    else:
        counts["records that nobody ranked"] += 1


def _of_pair(record: dict[str, Any], counts: Counter[str]) -> Iterator[RewardRow]:
    pair = [(record["chosen"], 1), (record["rejected"], 2)]
    return _row(record, pair, record.get("annotator", NOBODY), counts)


def _ranks(entry: dict[str, Any]) -> list[int | None]:
    """A labeler's ranks, or those of their ratings, of which the highest is best; None was not rated."""
    if "ranks" in entry:
        return list(entry["ranks"])
    order = sorted({rating for rating in entry["ratings"] if rating is not None}, reverse=True)
    return [None if rating is None else order.index(rating) + 1 for rating in entry["ratings"]]


def _row(
    record: dict[str, Any], judged: list[tuple[str, int]], labeler: str, counts: Counter[str]
) -> Iterator[RewardRow]:
    """The judgement as a row; none without two responses that are ranked apart. Equal texts keep their first rank."""
    found: dict[str, int] = {}
    for text, rank in judged:
        found.setdefault(text.strip(), rank)
    counts["responses that repeat another or are empty"] += len(judged) - len(found) + ("" in found)
    found.pop("", None)
    if len(set(found.values())) < 2:
        counts["judgements without a pair"] += 1
        return
    order = sorted(set(found.values()))
    prompt = _messages(record["prompt"], counts)
    group = _group(record)
    yield RewardRow(
        prompt_id=f"{group}/{record['source']}/{_digest(json.dumps(record['prompt']))}",
        prompt=prompt,
        responses=list(found),
        ranks=[order.index(rank) + 1 for rank in found.values()],
        labeler=f"{record['source']}/{labeler}",
        weight=1.0,
        split=_split(group),
        held_out=False,
        category=record["source"],
        language=record.get("lang", ""),
        source=record["id"],
    )


def _weigh(rows: Iterable[RewardRow]) -> list[RewardRow]:
    """All labelers of the same responses have weight 1 together."""
    rows = list(rows)
    judges = Counter((row.prompt_id, frozenset(row.responses)) for row in rows)
    return [replace(row, weight=1 / judges[row.prompt_id, frozenset(row.responses)]) for row in rows]


def _hold_out(rows: list[RewardRow]) -> list[RewardRow]:
    labelers = defaultdict(set)
    for row in rows:
        if not row.labeler.endswith(NOBODY):
            labelers[row.category].add(row.labeler)
    chosen = {
        name
        for names in labelers.values()
        for name in sorted(names, key=_digest)[: max(1, round(HELD_OUT_SHARE * len(names)))]
    }
    return [replace(row, held_out=row.labeler in chosen) for row in rows]


def _demonstrations(folder: Path, material: Material) -> Iterator[DemonstrationRow]:
    """What people wrote, and the best response of each training ranking; not what its authors keep for evaluation."""
    for record in _records(folder / "demonstrations_real.jsonl.gz"):
        split = _split(_group(record))
        if record.get("meta", {}).get("eval_only") or split == "test":
            material.counts["demonstrations left out: for evaluation only, or of a test conversation"] += 1
            continue
        yield _demonstration(_messages(record["prompt"], material.counts), record["demonstration"], split)
    for row in material.rankings:
        if row.split != "test" and not row.held_out:
            yield _demonstration(row.prompt, row.responses[row.ranks.index(1)], row.split)


def _demonstration(prompt: list[Message], response: str, split: str) -> DemonstrationRow:
    return DemonstrationRow(prompt_id=_digest(response), prompt=prompt, response=response, split=split)


def _texts(folder: Path, material: Material) -> Iterator[TextRow]:
    """Plain text, and all responses of training conversations, whatever people thought of them."""
    whole = gzip.decompress((folder / "text_real.txt.gz").read_bytes()).decode()
    pieces = [piece.strip() for piece in whole.split("\n\n\n")]
    ranked = [row for row in material.rankings if row.split == "train"]
    responses = dict.fromkeys(text for row in ranked for text in row.responses)
    for text in [*pieces, *responses]:
        if text:
            yield TextRow(text=text, split="train")


def _messages(prompt: Any, counts: Counter[str]) -> list[Message]:
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return [Message(turn["role"], _shortened(turn["content"], counts)) for turn in turns]


def _shortened(text: str, counts: Counter[str]) -> str:
    counts["turns of prompts"] += 1
    if len(text) <= LONGEST_TURN:
        return text
    counts["turns of prompts shortened"] += 1
    half = LONGEST_TURN // 2
    return f"{text[:half]} … {text[-half:]}"


def _group(record: dict[str, Any]) -> str:
    """The conversation of a record: its first turn without case, spaces and signs, or the story it asks about."""
    if record["source"].startswith("squality"):
        return _digest("story " + record["id"].split(":")[1])
    prompt = record["prompt"]
    first = prompt if isinstance(prompt, str) else prompt[0]["content"]
    plain = unicodedata.normalize("NFKC", first).lower()
    return _digest("".join(character for character in plain if character.isalnum()))


def _split(group: str) -> str:
    number = int(group, 16) % 100
    return "test" if number < TEST_PERCENT else "valid" if number < TEST_PERCENT + VALID_PERCENT else "train"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()[:16]


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)
