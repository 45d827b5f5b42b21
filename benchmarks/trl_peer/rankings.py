"""Rankings to learn from, and a model to start from: the same for both sides.

The hidden preference is the share of vowels in a response. Everything is made here; nothing is downloaded.
"""

import json
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any, Final

from training.contract.records import Message, RewardRow
from training.engine import batches, data, models
from training.engine.text import Text, byte_text

VOWELS: Final = "aeiou"
CONSONANTS: Final = "bcdfghjklmnpqrstvwxyz"
PLAIN_TEMPLATE: Final = (
    "{% for message in messages %}{{ message['content'] }}{% endfor %}"  # no control tokens: TRL adds none
)
SIZES: Final = {  # width, layers, heads
    "gpt2-3m": (256, 4, 4),
    "gpt2-30m": (512, 9, 8),
    "gpt2-0.1b": (768, 12, 12),
    "gpt2-0.4b": (1024, 24, 16),
    "gpt2-0.8b": (1280, 36, 20),
    "tiny": (64, 2, 2),
}
RESPONSE_TOKENS: Final = (64, 128)


@dataclass(frozen=True)
class Cell:
    """One cell of the table."""

    model: str
    k: int
    prompt_tokens: int
    prompts_per_step: int
    num_steps: int
    num_valid: int

    @property
    def name(self) -> str:
        return f"{self.model} K={self.k} P={self.prompt_tokens}"


@dataclass(frozen=True)
class Material:
    """Folders and files of one cell: ours reads the snapshot and the policy, TRL the pairs and the reward model."""

    policy: Path
    reward: Path
    snapshot: Path
    train_pairs: Path
    valid_pairs: Path


def prepare(cell: Cell, folder: Path, *, seed: int = 0) -> Material:
    """Write the same rankings for both, in the same order of steps, and the same weights to start from."""
    text = plain_text()
    policy = _policy(cell, text, folder, seed=seed)
    reward = models.reward_from_policy(str(policy), text, seed=seed)
    models.save_model(reward, text, folder / "reward")
    num_train = cell.num_steps * cell.prompts_per_step
    rows = [_row(Random(f"{seed} {number}"), cell, number, num_train) for number in range(num_train + cell.num_valid)]
    data.write_snapshot(folder / "snapshot", "reward", rows)
    order = [
        index
        for step in range(cell.num_steps)
        for index in batches.batch_indices(num_train, batch_size=cell.prompts_per_step, step=step, seed=seed)
    ]
    _write_pairs(folder / "train.jsonl", [rows[index] for index in order])
    _write_pairs(folder / "valid.jsonl", rows[num_train:])
    (folder / "cell.json").write_text(json.dumps(asdict(cell)))
    return Material(
        policy=policy,
        reward=folder / "reward",
        snapshot=folder / "snapshot",
        train_pairs=folder / "train.jsonl",
        valid_pairs=folder / "valid.jsonl",
    )


def num_unique_tokens(snapshot: Path, split: str) -> int:
    """Prompt once and each response once, with its end token: what no method can do without."""
    rows = [row for row in data.read_reward(snapshot).rows if row.split == split]
    return sum(len(row.prompt[0].content) + sum(len(text) + 1 for text in row.responses) for row in rows)


def num_pair_tokens(snapshot: Path, split: str) -> int:
    """Tokens when each pair is two rows."""
    rows = [row for row in data.read_reward(snapshot).rows if row.split == split]
    return sum(
        2 * len(row.prompt[0].content) + len(one) + len(other) + 2
        for row in rows
        for one, other in combinations(row.responses, 2)
    )


def plain_text() -> Text:
    """Bytes, and no control token but the end."""
    text = byte_text()
    text.tokenizer.chat_template = PLAIN_TEMPLATE
    return Text(text.tokenizer)


def vowel_share(text: str) -> float:
    """The hidden preference."""
    return sum(letter in VOWELS for letter in text) / max(1, len(text))


def words(random: Random, length: int, *, vowels: float) -> str:
    """Random words of five letters."""
    letters = (random.choice(VOWELS if random.random() < vowels else CONSONANTS) for _ in range(length))
    return "".join(" " if place % 6 == 5 else letter for place, letter in enumerate(letters))


def _policy(cell: Cell, text: Text, folder: Path, *, seed: int) -> Path:
    width, layers, heads = SIZES[cell.model]
    context = 2 * (cell.prompt_tokens + RESPONSE_TOKENS[1])
    model: Any = models.build_tiny(text, num_layers=layers, width=width, num_heads=heads, context=context, seed=seed)
    model.config.activation_function = "gelu_new"  # as GPT-2's own config has it
    models.save_model(model, text, folder / "policy")
    return folder / "policy"


def _row(random: Random, cell: Cell, number: int, num_train: int) -> RewardRow:
    length = random.randint(int(cell.prompt_tokens * 0.85), int(cell.prompt_tokens * 1.15))
    responses = [
        words(random, random.randint(*RESPONSE_TOKENS), vowels=random.uniform(0.1, 0.7)) for _ in range(cell.k)
    ]
    shares = [vowel_share(text) for text in responses]
    order = sorted(range(cell.k), key=lambda index: -shares[index])
    return RewardRow(
        prompt_id=f"p{number}",
        prompt=[Message("user", words(random, length, vowels=0.35))],
        responses=responses,
        ranks=[order.index(index) + 1 for index in range(cell.k)],
        labeler="known",
        weight=1.0,
        split="train" if number < num_train else "valid",
        held_out=False,
        category="",
    )


def _write_pairs(path: Path, rows: list[RewardRow]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            for one, other in combinations(range(len(row.responses)), 2):
                better, worse = sorted((one, other), key=lambda index: row.ranks[index])
                pair = {
                    "prompt": row.prompt[0].content,
                    "chosen": row.responses[better],
                    "rejected": row.responses[worse],
                }
                file.write(json.dumps(pair) + "\n")
