"""How often the reward model, and what it is compared with, agree with people: shares, intervals, the table.

All of it is on the same pairs: those of the test conversations. Intervals resample whole conversations.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from human_labels.rows import conversation
from training.engine.batches import Element
from training.engine.report import Pair, calibration, human_agreement, judged_pairs, share_with_interval

Scores = Sequence[Sequence[float]]
Share = dict[str, Any] | None
NUM_SAMPLES: Final = 2000


def length_scores(elements: Sequence[Element], *, learned_from: Sequence[Element]) -> Scores:
    """Longer is better, or shorter: whichever was right of each source's training pairs."""
    votes: Counter[str] = Counter()
    for pair in judged_pairs(learned_from, [_lengths(element) for element in learned_from]):
        if pair.split == "train" and not pair.held_out:
            votes[pair.category] += (pair.margin > 0) - (pair.margin < 0)
    signs = [1.0 if votes[element.category] >= 0 else -1.0 for element in elements]
    return [[sign * length for length in _lengths(element)] for sign, element in zip(signs, elements, strict=True)]


def measure(elements: Sequence[Element], judges: dict[str, Scores]) -> dict[str, Any]:
    """Every group of pairs with the share that each judge has right, and how often people agree on its items."""
    groups: dict[str, Any] = {}
    pairs = {name: judged_pairs(elements, scores) for name, scores in judges.items()}
    for name, belongs in _groups(elements).items():
        chosen = {judge: [pair for pair in found if belongs(pair)] for judge, found in pairs.items()}
        shares: dict[str, Share] = {judge: _share(found) for judge, found in chosen.items()}
        names = {pair.prompt_id for pair in next(iter(chosen.values()))}
        groups[name] = {**shares, "people": _people(element for element in elements if element.prompt_id in names)}
    unseen = [pair for pair in pairs["reward model"] if pair.split == "test"]
    found = calibration(unseen)
    return {"groups": groups, "calibration_error": found and found["error"]}


def lines(groups: dict[str, Any]) -> list[str]:
    """The table, one line per group."""
    judges = list(next(iter(groups.values())))
    head = f"{'pairs of':46}{'pairs':>7}{'prompts':>9}" + "".join(f"{name:>22}" for name in judges)
    return [head, *(_line(name, shares) for name, shares in groups.items() if shares[judges[0]])]


def _lengths(element: Element) -> list[float]:
    return [float(len(response)) for response in element.responses]


def _line(name: str, shares: dict[str, Share]) -> str:
    first = next(share for share in shares.values() if share)
    return f"{name:46}{first['num_pairs']:>7}{first['num_prompts']:>9}" + "".join(
        f"{_cell(share):>22}" for share in shares.values()
    )


def _cell(share: Share) -> str:
    if share is None:
        return "not known"
    if share["low"] is None:
        return f"{share['value']:.1%}"
    return f"{share['value']:.1%} ({share['low'] * 100:.1f}–{share['high'] * 100:.1f})"


def _groups(elements: Sequence[Element]) -> dict[str, Any]:
    def of(category: str) -> Any:
        return lambda pair: pair.split == "test" and not pair.held_out and pair.category == category

    categories = sorted({element.category for element in elements if element.split == "test"})
    known = {element.category for element in elements for ranking in element.rankings if ranking.held_out}
    return {
        "test prompts, all labelers that trained": lambda pair: pair.split == "test" and not pair.held_out,
        "  of those, sources with known labelers": lambda pair: (
            pair.split == "test" and not pair.held_out and pair.category in known
        ),
        "test prompts, held-out labelers": lambda pair: pair.split == "test" and pair.held_out,
        "training prompts, held-out labelers": lambda pair: pair.split == "train" and pair.held_out,
        "test prompts, without translations": lambda pair: (
            pair.split == "test" and not pair.held_out and not pair.category.startswith("wmt23")
        ),
    } | {f"test, {category}": of(category) for category in categories}


def _share(pairs: Iterable[Pair]) -> Share:
    outcomes = [(conversation(pair.prompt_id), pair.right) for pair in pairs]
    return share_with_interval(outcomes, num_samples=NUM_SAMPLES, rng=np.random.default_rng(0))


def _people(elements: Iterable[Element]) -> Share:
    """How often two labelers agree on a pair of the same items."""
    grouped = [replace(element, prompt_id=conversation(element.prompt_id)) for element in elements]
    return human_agreement(grouped, num_samples=NUM_SAMPLES, rng=np.random.default_rng(0))
