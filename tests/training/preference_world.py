"""Synthetic demonstrations and rankings with a known preference: more exclamation marks are better."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from training.contract.records import DemonstrationRow, Message, PromptRow, RewardRow
from training.engine.data import write_snapshot

WORDS = ("red", "blue", "cat", "dog", "sun", "sea", "tea", "hat", "owl", "fox")

TINY: dict[str, Any] = {
    "init_model": "tiny",
    "tiny_layers": 1,
    "tiny_width": 32,
    "tiny_heads": 2,
    "tiny_context": 64,
    "max_prompt_tokens": 24,
    "max_response_tokens": 24,
    "pretrain_steps": 4,
    "pretrain_batch_size": 4,
    "pretrain_sequence_tokens": 32,
}
LENGTHS: dict[str, Any] = {"max_prompt_tokens": 24, "max_response_tokens": 24, "bootstrap_samples": 100}


@dataclass(frozen=True)
class Snapshots:
    """Folders of the three snapshots."""

    sft: Path
    reward: Path
    prompts: Path


def build(folder: Path, *, num_prompts: int = 20) -> Snapshots:
    """Every fifth prompt is valid, every fifth test; labeler "c" is held out; "b" now and then ties."""
    random = Random(0)
    names = [f"p{number}" for number in range(num_prompts)]
    splits = {name: ("valid" if n % 5 == 3 else "test" if n % 5 == 4 else "train") for n, name in enumerate(names)}
    prompts = {name: [Message("user", f"{random.choice(WORDS)} {random.choice(WORDS)}?")] for name in names}
    snapshots = Snapshots(folder / "sft", folder / "reward", folder / "prompts")
    write_snapshot(
        snapshots.sft,
        "sft",
        [
            DemonstrationRow(prompt_id=name, prompt=prompts[name], response=_answer(random, 2), split=splits[name])
            for name in names
        ],
    )
    rows = []
    for name in names:
        num_marks = random.sample(range(6), 4)
        responses = [_answer(random, marks) for marks in num_marks]
        rows += [
            _ranking(name, prompts[name], responses, _ranks(num_marks, labeler), labeler, splits[name])
            for labeler in "abc"
        ]
    write_snapshot(snapshots.reward, "reward", rows)
    asked = [PromptRow(prompt_id=name, prompt=prompts[name], split=splits[name]) for name in names]
    write_snapshot(snapshots.prompts, "prompts", asked)
    return snapshots


def _answer(random: Random, marks: int) -> str:
    return f"{random.choice(WORDS)} {random.choice(WORDS)}{'!' * marks}"


def _ranks(num_marks: Sequence[int], labeler: str) -> list[int]:
    order = sorted(num_marks, reverse=True)
    ranks = [order.index(marks) + 1 for marks in num_marks]
    return [min(rank, 3) for rank in ranks] if labeler == "b" else ranks


def _ranking(
    name: str, prompt: list[Message], responses: list[str], ranks: list[int], labeler: str, split: str
) -> RewardRow:
    return RewardRow(
        prompt_id=name,
        prompt=prompt,
        responses=responses,
        ranks=ranks,
        labeler=labeler,
        weight=1 / 3,
        split=split,
        held_out=labeler == "c",
        category="colours" if "p1" in name else "animals",
    )
